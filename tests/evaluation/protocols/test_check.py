"""Cards that cannot be used are refused by the dotted name of what is wrong, and nothing else."""

import copy
import random

import pytest
import yaml

from evaluation.protocols.card import ProtocolCard, ProtocolError, load_protocol

REMOVE = object()


def with_value(name, path, value):
    """Return a shipped card's content with one place changed, unchecked."""
    content = copy.deepcopy(load_protocol(name).to_dict())
    *parents, last = path.split(".")
    place = content
    for word in parents:
        place = place[int(word)] if isinstance(place, list) else place[word]
    if value is REMOVE:
        del place[last]
    else:
        place[int(last) if isinstance(place, list) else last] = value
    return content


FEATURE = "features.vggish"


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (FEATURE, None, "vggish: expected a mapping with network"),
        (FEATURE, [1], "vggish: expected a mapping with network"),
        (f"{FEATURE}.network", "vgish", r"unknown network 'vgish'\. Did you mean vggish\?"),
        (f"{FEATURE}.network", ["vggish"], "unknown network"),
        (f"{FEATURE}.network", {"a": 1}, "unknown network"),
        (f"{FEATURE}.network", None, "unknown network None"),
        (f"{FEATURE}.network", REMOVE, r"vggish: missing fields \['network'\]"),
        (f"{FEATURE}.weights", None, "weights must be the name of a file"),
        (f"{FEATURE}.weights", "../x.pth", "without a folder"),
        (f"{FEATURE}.weights", "", "weights must be the name of a file"),
        (f"{FEATURE}.weights", 5, "weights must be the name of a file"),
        (f"{FEATURE}.dtype", "float16", "dtype must be one of float32, bfloat16"),
        (f"{FEATURE}.dtype", ["float32"], "dtype must be one of"),
        (f"{FEATURE}.input", None, "vggish: input: expected a list of steps"),
        (f"{FEATURE}.input", ["mono"], r"vggish: input: step mono: missing fields \['how'\]"),
        (f"{FEATURE}.input", [{"mono": "mean"}], "takes 16000 Hz, and input has no resample"),
        (
            f"{FEATURE}.input",
            [{"mono": "mean"}, {"resample": {"rate": 32000, "method": "julius"}}],
            "vggish takes 16000 Hz, and input has 32000 Hz",
        ),
        (
            f"{FEATURE}.input",
            [{"resample": {"rate": 16000, "method": "julius"}}],
            "channels: 1, and input leads to those of the file.*`mono: mean` or",
        ),
        (
            f"{FEATURE}.input",
            [{"resample": {"rate": 16000, "method": "julius"}}, {"mono": "mean"}, "stereo"],
            "channels: 1, and input leads to 2",
        ),
        (f"{FEATURE}.input.0.mono", "centre", "expected mean, first or joined, got 'centre'"),
        (f"{FEATURE}.input.1.resample.rate", REMOVE, r"missing fields \['rate'\]"),
        (f"{FEATURE}.input.1.resample.ratte", 1, r"unknown fields \['ratte'\]\. Did you mean rate"),
        ("metrics.fad_vggish", None, "metrics.fad_vggish: missing field kind"),
        ("metrics.fad_vggish", [], "metrics.fad_vggish: options must be a mapping"),
        ("metrics.fad_vggish.kind", "frechett", "kind must be frechet, got 'frechett'"),
        ("metrics.fad_vggish.kind", "kernel", "kind must be frechet, got 'kernel'"),
        ("metrics.fad_vggish.features", "vgish", r"not on the card\. Did you mean vggish"),
        ("metrics.fad_vggish.features", ["vggish"], "not on the card"),
        ("metrics.fad_vggish.features", "clap", "score of vggish, and features clap are of clap"),
        ("metrics.fad_vggish.features", REMOVE, "missing field features"),
        ("metrics.fad_vggish.output", "logits", "output of vggish must be one of embedding"),
        ("metrics.fad_vggish.output", [], "output of vggish must be one of embedding"),
        ("metrics.kld_passt.output", "embedding", "output of a kl score must be logits"),
        (
            "metrics.kad_passt",
            {"kind": "kernel", "features": "passt", "output": "logits"},
            "must be embedding",
        ),
        ("metrics.level_difference_db.features", "vggish", "measured on waveforms"),
        ("metrics.fad_vgish", {}, r"unknown metric 'fad_vgish'\. Did you mean fad_vggish"),
        ("captions", "none", "metrics.clap_score: it needs captions"),
        ("captions", "frist", "captions must be one of first, all, listed, none"),
        ("silence", "maybe", "silence must be one of refuse, score"),
        ("test_list.sha256", "abc", "sha256 must be 64 hex digits or null"),
        ("test_list.sha256", 5, "sha256 must be 64 hex digits or null"),
        ("test_list.sha256", "A" * 64, "sha256 must be 64 hex digits or null"),
        ("test_list.clips", 0, "test_list.clips must be a whole number from 1"),
        ("test_list.clips", "975", "test_list.clips must be a whole number from 1"),
        ("test_list.clip", 975, r"unknown fields \['clip'\] in test_list"),
        ("test_list.name", None, "test_list.name must be text"),
        ("bootstrap.seed", True, "bootstrap.seed must be a whole number"),
        ("bootstrap.confidence", "95%", "bootstrap.confidence must be a number"),
        ("bootstrap.resample", 5, r"unknown fields \['resample'\] in bootstrap"),
        ("version", True, "version must be a whole number from 1"),
        ("features", {}, "features 'vggish' are not on the card. It has none"),
        ("features", [], "features must name"),
        ("metrics", None, "metrics must name one or more"),
        ("generated.0", {"mono": "mean", "clip": None}, "generated: a step is a name or one name"),
        ("name", ["audiocraft"], "name must be text"),
        ("features.passt.min_segment", float("nan"), "min_segment must be a number, got nan"),
        ("features.passt.extra", {1: 2}, "features.passt.extra: the key 1 is no word"),
        ("features.passt.extra", {"a": object()}, "expected text, a number, true, false or null"),
        ("features.passt.extra", (1, 2), "expected text, a number, true, false or null"),
    ],
)
def test_one_wrong_place_is_named(path, value, message):
    with pytest.raises(ProtocolError, match=message) as caught:
        ProtocolCard.from_dict(with_value("audiocraft", path, value), where="mine.yaml")
    assert str(caught.value).startswith("mine.yaml: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [None, [], "audiocraft", 5, {}, [{"name": "x"}]])
def test_what_is_no_card_at_all(content):
    with pytest.raises(ProtocolError, match=r"expected a mapping for the card|missing fields"):
        ProtocolCard.from_dict(content)


def test_a_card_of_format_1_says_what_took_the_place_of_its_fields(tmp_path):
    content = load_protocol("demo").to_dict()
    for field in ("input", "generated", "features", "captions", "test_list"):
        del content[field]
    content |= {"mono": "mean", "generated_loudness": None, "loudness_floor": 0.0}
    path = tmp_path / "old.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(ProtocolError, match=r"old\.yaml: .*An older card: these are steps"):
        load_protocol(path)


def test_the_stand_in_needs_no_weights_and_takes_any_rate():
    card = load_protocol("demo").changed("features.logmel.input.1.resample.rate", 22050)
    assert card.input_steps("logmel").sample_rate == 22050
    with pytest.raises(ProtocolError, match="logmel has no weights: weights must be null"):
        card.changed("features.logmel.weights", "x.pth")
    with pytest.raises(ProtocolError, match="logmel takes any Hz, and input has no resample"):
        card.changed("features.logmel.input", [{"mono": "mean"}])


def places(value, path=()):
    yield path
    if isinstance(value, dict):
        for key, entry in value.items():
            yield from places(entry, (*path, key))
    elif isinstance(value, list):
        for index, entry in enumerate(value):
            yield from places(entry, (*path, index))


ODD = (None, True, -1, 0, 3.5, "", "x", [], {}, [None], {"x": None}, [["x"]], "ä" * 9, 10**400)


@pytest.mark.parametrize("name", ["audiocraft", "codec"])
def test_any_value_anywhere_is_taken_or_refused_in_one_line(name):
    """No place of a card leads to anything but a card or a ProtocolError."""
    content = load_protocol(name).to_dict()
    rng = random.Random(0)
    taken: list[str] = []
    refused = 0
    for path in list(places(content))[1:]:
        for value in rng.sample(ODD, 5):
            changed = copy.deepcopy(content)
            place = changed
            for word in path[:-1]:
                place = place[word]
            place[path[-1]] = value
            text = ""
            try:
                taken.append(ProtocolCard.from_dict(changed).sha256())
            except ProtocolError as error:
                text = str(error)
            refused += bool(text)
            assert "\n" not in text
    assert len(set(taken)) > 20
    assert refused > 100

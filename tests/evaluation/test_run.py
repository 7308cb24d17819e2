"""From two folders to a report, with tiny networks: the same numbers however it is carried out."""

import json
import random
import shutil

import numpy as np
import pytest
import soundfile
import torch

from evaluation import evaluate
from evaluation.protocols.card import load_protocol

NETWORK_KEYS = ("fad_vggish", "kld_passt", "clap_score")


@pytest.fixture
def score(folders, captions, tiny):
    """Score six pairs under the card audiocraft; keywords override."""
    for folder in folders:
        for i in range(6, 12):
            (folder / f"clip{i:02d}.wav").unlink()

    def call(**options):
        given = {"captions": captions, "weights": tiny.weights, "sanity": False} | options
        card = given.get("protocol", load_protocol("audiocraft"))
        given["protocol"] = card.changed("bootstrap.resamples", 10)  # they take most of the time
        return evaluate(*folders, **given)

    return call


def numbers(report):
    """All that a report says, but for where and when it was made."""
    content = report.to_dict()
    del content["provenance"]
    return json.dumps(content)


def test_a_whole_card_is_scored(score):
    report = score()
    assert list(report.scores) == list(load_protocol("audiocraft").metrics)
    assert report.not_computed == {}
    assert all(np.isfinite(score.value) for score in report.scores.values())
    assert {score.n for score in report.scores.values()} == {6}
    facts = report.features["vggish"]
    assert facts["windows"] == {"reference": 18, "generated": 18}
    assert len(facts["weights_sha256"]) == 64
    assert not facts["stand_in"]
    assert set(report.items[3]["values"]) >= {"kld_passt", "clap_score", "level_difference_db"}


def test_scores_are_those_of_the_features(score, folders, tiny):
    """The whole way by hand for one metric: read, prepare, embed, Frechet distance."""
    from evaluation.metrics.frechet import frechet_distance

    card = load_protocol("audiocraft")
    card = card.changed("generated", []).changed(
        "features.vggish.input",
        [{"mono": "mean"}, *load_protocol("demo").features["logmel"]["input"][1:]],
    )
    card = card.changed("metrics.fad_vggish.statistics", "float64")
    network = tiny.build_vggish(weights=None, device="cpu", dtype=torch.float32)
    gaussians = []
    for folder in folders:
        sounds = [soundfile.read(path, dtype="float32")[0] for path in sorted(folder.iterdir())]
        windows = [network.windows(torch.from_numpy(sound)) for sound in sounds]
        rows = network.run(torch.cat(windows))["embedding"].double()
        gaussians += [rows.mean(dim=0), torch.cov(rows.T)]
    report = score(protocol=card, metrics=["fad_vggish"])
    assert report.scores["fad_vggish"].value == pytest.approx(float(frechet_distance(*gaussians)))


def test_workers_change_no_bit(score):
    assert numbers(score(workers=2)) == numbers(score(workers=0))


def test_twice_is_bit_equal_and_global_streams_stay_where_they_were(score):
    def streams():
        return torch.rand(1).item(), np.random.random(), random.random()  # noqa: NPY002

    found, reports = [], []
    for workers in (0, 1):
        torch.manual_seed(1), np.random.seed(1), random.seed(1)  # noqa: NPY002
        reports.append(numbers(score(workers=workers, sanity=True)))
        found.append(streams())
    torch.manual_seed(1), np.random.seed(1), random.seed(1)  # noqa: NPY002
    assert found == [streams()] * 2
    assert reports[0] == reports[1]


def test_the_size_of_batches_changes_rounding_alone(score):
    few, many = score(batch_size=1), score(batch_size=64)
    for key in few.scores:
        assert few.scores[key].value == pytest.approx(many.scores[key].value, rel=1e-5, abs=1e-6)


def test_the_cache_changes_no_bit_and_saves_the_networks_work(score, tiny, tmp_path):
    without = numbers(score())
    assert numbers(score(cache=tmp_path / "cache")) == without
    tiny.calls.update(windows=0, run=0, text=0)
    assert numbers(score(cache=tmp_path / "cache")) == without
    assert tiny.calls == {"windows": 0, "run": 0, "text": 0}


def test_another_system_against_the_same_references_costs_its_own_side_alone(
    score, folders, tiny, tmp_path
):
    score(cache=tmp_path / "cache")
    for path in folders[1].iterdir():
        sound, rate = soundfile.read(path)
        soundfile.write(path, 0.5 * sound, rate)
    plain = numbers(score())
    tiny.calls.update(windows=0, run=0, text=0)
    assert numbers(score(cache=tmp_path / "cache")) == plain
    assert tiny.calls["windows"] == 3 * 6
    assert tiny.calls["text"] == 0


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("features.vggish.input.2.peak", -3.0),
        ("features.vggish.input.0", {"mono": "first"}),
        ("generated.2.loudness.target", -20.0),
        ("features.vggish.gain", 2.0),
    ],
)
def test_a_changed_card_never_meets_features_of_another(score, tmp_path, place, value):
    """Stale features would give the first card's score, or a mixture."""
    card = load_protocol("audiocraft").changed("features.vggish.gain", 1.0)
    score(protocol=card, cache=tmp_path / "cache", metrics=["fad_vggish"])
    changed = card.changed(place, value)
    plain, cached = (
        score(protocol=changed, cache=cache, metrics=["fad_vggish"])
        for cache in (None, tmp_path / "cache")
    )
    assert numbers(cached) == numbers(plain)


def test_other_bytes_weights_or_dtype_never_meet_old_features(
    score, folders, tiny, tmp_path, monkeypatch
):
    options = {"cache": tmp_path / "cache", "metrics": ["kld_passt"]}
    first = score(**options).scores["kld_passt"].value
    half = score(**options, dtype="bfloat16")
    assert numbers(half) == numbers(score(metrics=["kld_passt"], dtype="bfloat16"))
    assert half.scores["kld_passt"].value != first
    assert half.scores["kld_passt"].value == pytest.approx(first, rel=0.05)
    monkeypatch.setattr(tiny.Tiny, "version", "2")
    tiny.calls.update(run=0)
    score(**options)
    assert tiny.calls["run"] > 0
    shutil.copy(folders[1] / "clip01.wav", folders[1] / "clip02.wav")
    cached, plain = score(**options), score(metrics=["kld_passt"])
    assert cached.items[2]["values"] == cached.items[1]["values"] | {
        key: pytest.approx(value, rel=1e-4) for key, value in plain.items[2]["values"].items()
    }


def test_networks_in_another_dtype_make_a_changed_card(score, tiny):
    """By option or on the card: one protocol, one hash, one name, and the same numbers."""
    card = load_protocol("audiocraft")
    for name in ("vggish", "passt", "clap"):
        card = card.changed(f"features.{name}.dtype", "bfloat16")
    asked, written = score(dtype="bfloat16"), score(protocol=card)
    assert numbers(asked) == numbers(written)
    assert asked.provenance["protocol_sha256"] == written.provenance["protocol_sha256"]
    title = "audiocraft v3, changed: bootstrap.resamples"
    assert asked.card_title() == f"{title}, features.vggish.dtype, features.passt.dtype, ..."
    assert asked.card_title() in asked.to_markdown()
    assert score(dtype="float32").card_title() == title


def test_a_damaged_entry_is_computed_again_and_said(score, tmp_path):
    first = score(cache=tmp_path / "cache")
    entries = sorted((tmp_path / "cache").glob("*/*.safetensors"))
    entries[5].write_bytes(entries[5].read_bytes()[:-7])
    again = score(cache=tmp_path / "cache")
    assert again.to_dict()["scores"] == first.to_dict()["scores"]
    said = [text for text in again.warnings if "damaged" in text]
    assert len(said) == 1
    assert entries[5].name in said[0]
    assert numbers(score(cache=tmp_path / "cache")) == numbers(first)


def test_a_full_disk_costs_the_cache_and_not_the_scores(score, tmp_path, monkeypatch):
    def full(self, *args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("evaluation.features.cache.FeatureCache.put", full)
    report = score(cache=tmp_path / "cache")
    assert [text for text in report.warnings if "features were not kept" in text]
    assert report.to_dict()["scores"] == score().to_dict()["scores"]


def test_items_name_their_entries_in_the_cache(score, tmp_path):
    from evaluation.features.cache import FeatureCache

    report = score(cache=tmp_path / "cache")
    key = report.items[4]["features"]["vggish"]["generated"]
    assert FeatureCache(tmp_path / "cache").get(key)["embedding"].shape == (3, 6)


def test_random_weights_mark_every_score_of_a_network(score, tiny, tmp_path):
    shutil.rmtree(tiny.weights)
    report = score(random_weights=True, sanity=True)
    for key, found in report.scores.items():
        assert found.label.startswith("stand-in (random weights): ") == (key in NETWORK_KEYS)
    assert any("vggish, passt, clap: random weights" in text for text in report.warnings)
    assert all(report.features[name]["stand_in"] for name in ("vggish", "passt", "clap"))
    assert "stand-in (random weights): FAD" in report.to_text()


def test_stand_ins_and_networks_never_share_features(score, tmp_path):
    options = {"cache": tmp_path / "cache", "metrics": ["fad_vggish"]}
    score(**options, random_weights=True)
    report = score(**options)
    assert not report.features["vggish"]["stand_in"]
    assert report.scores["fad_vggish"].label == "FAD (VGGish)"


@pytest.mark.parametrize(("rule", "count"), [("first", 1), ("all", 3)])
def test_several_captions_follow_the_rule_of_the_card(score, tiny, tmp_path, rule, count):
    path = tmp_path / "several.csv"
    rows = [f"clip{i:02d}.wav,burst {i} told {k}\n" for k in range(3) for i in range(12)]
    path.write_text("file,caption\n" + "".join(rows))
    tiny.calls.update(text=0)
    card = load_protocol("audiocraft").changed("captions", rule)
    report = score(captions=path, protocol=card, metrics=["clap_score"])
    assert tiny.calls["text"] == 6 * count
    assert report.items[3]["captions"] == [f"burst 3 told {k}" for k in range(3)]
    assert report.scores["clap_score"].n == 6


def test_classes_and_breakdown_come_from_features_too(score, tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("file,class\n" + "".join(f"clip{i:02d}.wav,{'ab'[i % 2]}\n" for i in range(12)))
    report = score(labels=path)
    assert list(report.classes) == ["a", "b"]
    halves = [report.classes[name]["kld_passt"] for name in "ab"]
    assert [half.n for half in halves] == [3, 3]
    mean = np.mean([half.value for half in halves])
    assert mean == pytest.approx(report.scores["kld_passt"].value)
    assert report.items[1]["class"] == "b"


def test_the_same_sound_again_goes_through_a_network_once(score, folders, tiny):
    """As in a set with five captions per clip: five names, one reference."""
    for i in range(1, 6):
        shutil.copy(folders[0] / "clip00.wav", folders[0] / f"clip{i:02d}.wav")
    report = score(metrics=["kld_passt"])
    seen = []
    monkey = tiny.Tiny.run
    try:
        tiny.Tiny.run = lambda self, windows: seen.append(len(windows)) or monkey(self, windows)
        again = score(metrics=["kld_passt"])
    finally:
        tiny.Tiny.run = monkey
    assert sum(seen) == 2 + 6  # the reference, as it is and as generated sounds are
    assert numbers(again) == numbers(report)


@pytest.mark.parametrize("given", [{"random_weights": True}, {"weights": "nowhere"}])
def test_weights_that_no_network_of_the_card_takes_are_said_to_change_nothing(folders, given):
    plain = evaluate(*folders, protocol="demo", sanity=False)
    report = evaluate(*folders, protocol="demo", sanity=False, **given)
    assert report.scores == plain.scores
    [line] = [text for text in report.warnings if text not in plain.warnings]
    assert "no network of protocol demo takes weights" in line


def test_every_score_without_an_interval_says_why(folders):
    for folder in folders:
        for path in sorted(folder.iterdir())[5:]:
            path.unlink()
    report = evaluate(*folders, protocol="demo")
    assert len(report.scores) == 2
    for score in report.scores.values():
        assert score.interval is None
        assert score.details["no_interval"] == "fewer than 8 clips"

"""Microsoft's CLAP beside the package msclap: embeddings, cosines, and a card's score of them."""

import os
import pickle
from pathlib import Path

import pytest
import soundfile
import torch

from evaluation import evaluate
from evaluation.embedders import msclap_network
from evaluation.embedders.msclap import MsClap, build
from evaluation.embedders.registry import build_network
from evaluation.embedders.weight_file import WeightsError

from .msclap_parts import (
    SEED,
    SOUNDS,
    captions,
    noise,
    read_golden,
    small_state,
    waveform,
    write_words,
)

FILE = "CLAP_weights_2023.pth"
DIM = 48  # of the small network


@pytest.fixture(scope="module")
def golden():
    return read_golden()


@pytest.fixture(scope="module")
def state(golden):
    return small_state(golden)


@pytest.fixture(scope="module")
def folder(golden, state, tmp_path_factory):
    """A weights folder; not to be changed."""
    folder = tmp_path_factory.mktemp("weights")
    torch.save({"model": state}, folder / FILE)
    write_words(golden, folder / "gpt2")
    return folder


@pytest.fixture(scope="module")
def clap(folder):
    return MsClap(weights=folder / FILE, seed=SEED)


def unit_rows(golden, key):
    return torch.nn.functional.normalize(torch.from_numpy(golden[key]), dim=1)


def test_both_towers_give_the_package_s_own_numbers(golden, clap):
    audio = torch.cat([clap.audio(waveform(name)[None]) for name in SOUNDS])
    text = clap.text(captions(golden))
    assert audio.dtype == text.dtype == torch.float32
    torch.testing.assert_close(audio, unit_rows(golden, "audio"), rtol=0, atol=1e-6)
    torch.testing.assert_close(text, unit_rows(golden, "text"), rtol=0, atol=1e-6)
    similarity = torch.from_numpy(golden["similarity"]) / float(golden["scale"])
    torch.testing.assert_close(audio @ text.T, similarity, rtol=0, atol=1e-6)


def test_a_card_scores_what_the_package_does(golden, folder, tmp_path):
    """From files to cosines: rates, channels, crops, words; the scale of the package left out."""
    said = captions(golden)
    rows = {"short": 0, "exact": 1, "long": 2, "stereo": 4, "other_rate": 0}
    folders = tmp_path / "reference", tmp_path / "generated"
    for place in folders:
        place.mkdir()
        for name in rows:
            soundfile.write(place / f"{name}.wav", noise(name).T, SOUNDS[name][2], subtype="FLOAT")
    lines = [f'{name}.wav,"{said[row]}"' for name, row in rows.items()]
    (tmp_path / "captions.csv").write_text("\n".join(["file,caption", *lines, ""]))
    report = evaluate(
        *folders,
        protocol="av_benchmark",
        metrics=["msclap_score"],
        captions=tmp_path / "captions.csv",
        weights=folder,
        sanity=False,
    )
    similarity = golden["similarity"] / golden["scale"]
    expected = {name: similarity[list(SOUNDS).index(name), row] for name, row in rows.items()}
    found = {item["name"]: item["values"]["msclap_score"] for item in report.items}
    assert found == pytest.approx(expected, abs=1e-6)
    value = report.scores["msclap_score"].value
    assert value == pytest.approx(sum(expected.values()) / len(expected), abs=1e-6)


def test_a_batch_changes_no_item(golden, clap):
    said = captions(golden) * 8
    alone = torch.cat([clap.text([caption]) for caption in said[:5]])
    torch.testing.assert_close(clap.text(said)[-5:], alone, rtol=0, atol=1e-6)
    mels = torch.cat([clap.windows(waveform(name)) for name in SOUNDS])
    alone = torch.cat([clap.run(mel[None])["embedding"] for mel in mels])
    torch.testing.assert_close(clap.run(mels)["embedding"], alone, rtol=0, atol=1e-6)


def test_nothing_in_nothing_out(clap):
    for rows in (
        clap.text([]),
        clap.audio(torch.zeros(0, 100)),
        clap.run(torch.zeros(0, 1, 965, 64))["embedding"],
    ):
        assert rows.shape == (0, DIM)
    assert clap.outputs == {"embedding": DIM}


def test_a_seed_is_a_place(folder, clap):
    sound, short = waveform("long")[None], waveform("short")[None]
    other = MsClap(weights=folder / FILE, seed=1)
    assert (clap.audio(sound) - other.audio(sound)).abs().max() > 1e-5
    assert torch.equal(clap.audio(short), other.audio(short))
    assert torch.equal(clap.audio(sound), clap.audio(sound))


def test_a_worker_s_copy_holds_the_front_end_alone(clap):
    content = pickle.dumps(clap)
    assert len(content) < 600_000  # the filters
    copy = pickle.loads(content)
    assert torch.equal(copy.windows(waveform("long")), clap.windows(waveform("long")))
    for call in (lambda: copy.text(["a dog"]), lambda: copy.run(torch.zeros(1, 1, 965, 64))):
        with pytest.raises(ValueError, match="worker process"):
            call()


def test_half_the_precision_gives_floats_near_by(folder, clap):
    half = build(weights=folder / FILE, dtype=torch.bfloat16, seed=SEED)
    found = half.run(clap.windows(waveform("short")))["embedding"]
    assert found.dtype == torch.float32
    assert float(found[0] @ clap.audio(waveform("short")[None])[0]) > 0.99
    text = half.text(["a dog barks"])
    assert text.dtype == torch.float32
    assert float(text[0] @ clap.text(["a dog barks"])[0]) > 0.99


def test_options_are_checked(folder, clap):
    for seed in (-1, 1.5, True, None, 2**64):
        with pytest.raises(ValueError, match="seed must be a whole number from 0"):
            MsClap(weights=folder / FILE, seed=seed)
    with pytest.raises(ValueError, match=r"network msclap: no option tower"):
        build_network("msclap", weights=folder / FILE, options={"tower": "tiny"})
    for wrong in ("a dog", ["a dog", None], [b"a dog"]):
        with pytest.raises(ValueError, match="expected a list of captions"):
            clap.text(wrong)
    with pytest.raises(ValueError, match=r"waveforms \[B, T\]"):
        clap.audio(torch.zeros(100))
    with pytest.raises(ValueError, match=r"spectrograms \[n, 1, 965, 64\], got \[1, 1, 1001, 64\]"):
        clap.run(torch.zeros(1, 1, 1001, 64))
    with pytest.raises(ValueError, match=r"a caption has 1\d\d tokens, .* takes 160 at most"):
        clap.text(["rain falls " * 80])


def test_a_text_tower_that_says_the_same_of_everything_is_refused(
    golden, state, tmp_path, monkeypatch
):
    same = {"caption_encoder.projection.layer_norm.weight": torch.full((DIM,), 1e-4)}
    torch.save({"model": state | same}, tmp_path / FILE)
    monkeypatch.setattr("evaluation.embedders.msclap_text._cached", list)
    sounds_alone = MsClap(weights=tmp_path / FILE)  # which the tower says nothing about
    assert sounds_alone.audio(torch.ones(1, 1000)).shape == (1, DIM)
    with pytest.raises(WeightsError, match=f"vocab.json and merges.txt of .* into {tmp_path}/gpt2"):
        sounds_alone.text(["a dog barks"])
    write_words(golden, tmp_path / "gpt2")
    with pytest.raises(WeightsError, match=r"2023\.pth: the text tower .* cosine of 1\.0000"):
        sounds_alone.text(["a dog barks"])
    with pytest.raises(WeightsError, match="the text tower of these weights is broken"):
        MsClap(weights=tmp_path / FILE)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"audio_encoder.projection.linear1.weight": torch.zeros(DIM, 128)}, "same embedding"),
        ({"audio_encoder.projection.layer_norm.bias": torch.full((DIM,), 3e38)}, "not finite"),
        ({"audio_encoder.base.htsat.norm.bias": torch.zeros(3)}, r"of another shape .*\[3\]"),
        ({"audio_encoder.base.htsat.extra": torch.zeros(3)}, "1 unexpected"),
        ({"caption_encoder.base.ln_f.bias": None}, r"1 missing \(text_model\.ln_f\.bias\)"),
        (
            {"audio_encoder.base.htsat.bn0.num_batches_tracked": torch.tensor(0.5)},
            "1 of another kind of number",
        ),
    ],
)
def test_other_weights_are_refused(state, tmp_path, changed, message):
    content = {name: tensor for name, tensor in (state | changed).items() if tensor is not None}
    torch.save(content, tmp_path / FILE)  # a bare state is as good
    with pytest.raises(WeightsError, match=message):
        MsClap(weights=tmp_path / FILE)


def test_a_file_that_changed_since_it_was_fetched_is_refused(state, tmp_path):
    torch.save({"model": state}, tmp_path / FILE)
    (tmp_path / f"{FILE}.sha256").write_text(f"{'0' * 64}  {FILE}\n")
    with pytest.raises(WeightsError, match=r"its sha256 is .* when it was fetched"):
        MsClap(weights=tmp_path / FILE)


class Hostile:
    def __reduce__(self):
        return os.system, ("touch hostile",)


def test_a_file_that_would_run_something_is_refused(state, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"model": state, "args": Hostile()}, tmp_path / FILE)
    with pytest.raises(WeightsError, match=r"unsafe: it wants \S+ to be called"):
        MsClap(weights=tmp_path / FILE)
    assert not Path("hostile").exists()


def test_a_stand_in_needs_no_file_and_says_so(monkeypatch):
    small = {"patch_embeds_hidden_size": 16, "depths": [1, 1, 1, 1], "hidden_size": 128}
    sizes = {"audio": small, "text": {"n_layer": 1, "n_embd": 24}, "dim": 1024}
    monkeypatch.setattr(msclap_network, "PUBLISHED", sizes)
    before = torch.get_rng_state()
    network = build_network("msclap", weights=None, options={"seed": 3})
    assert torch.equal(torch.get_rng_state(), before)
    assert network.weights_sha256 is None
    text = network.text(["a dog barks", "A dog  barks", "rain"])
    assert text.shape == (3, 1024)
    torch.testing.assert_close(text[0], text[1])
    assert (text[0] - text[2]).abs().max() > 1e-3
    sounds = network.audio(torch.stack([waveform("exact"), torch.ones(308700)]))
    assert sounds.isfinite().all()
    assert (sounds[0] - sounds[1]).abs().max() > 1e-4
    again = build_network("msclap", weights=None, options={"seed": 3})
    torch.testing.assert_close(again.text(["rain"]), text[2:], rtol=0, atol=1e-6)

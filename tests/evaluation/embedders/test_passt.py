import hashlib
import json
import pickle
import random
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from evaluation.embedders.hashed import hashed_uniform
from evaluation.embedders.passt import Passt, PasstFeatures, build
from evaluation.embedders.passt_front import log_mel
from evaluation.embedders.passt_network import VARIANTS, build_passt
from evaluation.embedders.registry import build_network

TESTS = Path(__file__).parents[2]
GOLDEN = TESTS / "golden" / "passt.npz"  # written by golden/make_passt.py
SHARED = TESTS.parents[1] / "shared" / "fixtures" / "metrics"
OUTSIDE = pytest.mark.skipif(not SHARED.is_dir(), reason="shared fixtures are not here")
BASE = "passt_s_swa_p16_128_ap476"


@pytest.fixture(scope="module")
def passt():
    return Passt(weights=None)


@pytest.fixture(scope="module")
def golden():
    return np.load(GOLDEN)


@pytest.fixture(scope="module")
def sparse():
    """State of the right names and shapes that takes no room in a file: one number per tensor."""
    shapes = json.loads(str(np.load(GOLDEN)["shapes"]))[BASE]
    return {name: torch.zeros(()).expand(shape) for name, shape in shapes.items()}


def noise(samples, key=7):
    return hashed_uniform((samples,), key=key)


def streams():
    return (
        torch.get_rng_state().tolist(),
        np.random.get_state()[1].tolist(),  # noqa: NPY002
        random.getstate(),
    )


def test_golden_logits_and_features(passt, golden):
    waveform = noise(28800)[None]
    for name, found in (
        ("logits", passt.logits(waveform)),
        ("features", passt.features(waveform)),
    ):
        expected = torch.from_numpy(golden[name])[None]
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


@OUTSIDE
def test_reference_logits_and_features(passt):
    waveform = np.load(SHARED / "passt_mel.npz")["waveform_int16"].astype(np.float32) / 32768
    expected = np.load(SHARED / "passt_net.npz")
    found = passt.run(log_mel(torch.from_numpy(waveform[None])))
    for ours, theirs in (("logits", "logits_10s"), ("embedding", "features_10s")):
        want = torch.from_numpy(expected[theirs]).view(1, -1)
        torch.testing.assert_close(found[ours], want, rtol=0, atol=1e-4)


@pytest.mark.parametrize("model", sorted(VARIANTS))
def test_names_and_shapes_of_the_published_files(golden, model):
    expected = json.loads(str(golden["shapes"]))[model]
    state = build_passt(model).state_dict()
    assert {name: list(tensor.shape) for name, tensor in state.items()} == expected
    assert expected["time_new_pos_embed"][-1] == {10: 99, 20: 200, 30: 300}[VARIANTS[model].seconds]


@OUTSIDE
def test_reference_names_and_shapes(golden):
    expected = json.loads((SHARED / "passt_state_shapes.json").read_text())
    shapes = json.loads(str(golden["shapes"]))[BASE]
    assert shapes == {name: list(shape) for name, shape in dict(expected).items()}


def test_it_says_what_it_is(passt):
    assert passt.stand_in
    assert passt.weights_sha256 is None
    features = PasstFeatures(passt)
    assert (features.name, features.sample_rate, features.weights_sha256) == ("passt", 32000, None)
    assert features.outputs == {"logits": 527, "embedding": 768}


def test_nothing_is_printed_and_no_random_stream_moves(passt, capsys):
    before = streams()
    build_passt(BASE)
    passt.logits(noise(8000)[None])
    assert capsys.readouterr() == ("", "")
    assert streams() == before


def test_the_result_does_not_depend_on_a_random_stream(passt):
    torch.manual_seed(1)
    first = passt.logits(noise(8000)[None])
    torch.manual_seed(2)
    torch.testing.assert_close(passt.logits(noise(8000)[None]), first, rtol=0, atol=0)


def test_no_warning_of_the_library_reaches_the_user(passt, recwarn):
    passt.logits(noise(8000)[None])
    assert [str(w.message) for w in recwarn] == []


def test_a_batch_changes_no_item(passt):
    waveforms = torch.stack([noise(6000, key) for key in range(6)])
    alone = torch.cat([passt.logits(waveform[None]) for waveform in waveforms])
    torch.testing.assert_close(passt.logits(waveforms), alone, rtol=0, atol=1e-5)


def test_pieces_of_unequal_length_are_rows_of_their_own(passt):
    """The last frames of a shorter piece are not there, rather than silence."""
    features = PasstFeatures(passt)
    windows = torch.full((3, 128, 50), torch.nan)
    sounds = noise(15000), noise(5000, 8), noise(9000, 9)
    for row, sound in zip(windows, sounds, strict=True):
        mel = log_mel(sound)
        row[:, : mel.shape[1]] = mel
    found = features.run(windows)
    for i, sound in enumerate(sounds):
        torch.testing.assert_close(
            found["logits"][i], passt.logits(sound[None])[0], rtol=0, atol=1e-5
        )
        torch.testing.assert_close(
            found["embedding"][i], passt.features(sound[None])[0], rtol=0, atol=1e-5
        )


def test_windows_of_a_sound_longer_than_the_network_hears(passt):
    windows = PasstFeatures(passt).windows(noise(326400))
    assert windows.shape == (2, 128, 1000)
    assert windows[0].isfinite().all()
    torch.testing.assert_close(windows[1, :, :20], log_mel(noise(326400)[320000:]))
    assert windows[1, :, 20:].isnan().all()


def test_a_sound_that_is_left_out_has_no_rows(passt):
    features = PasstFeatures(passt)
    windows = features.windows(noise(4800))
    assert len(windows) == 0
    assert {name: rows.shape for name, rows in features.run(windows).items()} == {
        "logits": (0, 527),
        "embedding": (0, 768),
    }


@pytest.mark.parametrize("segments", ["cut_or_pad", "overlap"])
def test_the_other_rules(passt, segments):
    features = PasstFeatures(passt, segments=segments)
    assert features.windows(noise(60000)).shape == (1, 128, 1000)
    assert len(features.windows(noise(320001))) == (2 if segments == "overlap" else 1)
    if segments == "overlap":
        with pytest.raises(ValueError, match=r"more than 0\.15 s"):
            features.windows(noise(4000))


def test_bfloat16_is_near_float32_and_comes_out_as_float32(passt):
    waveform = torch.stack([noise(28800), 0.1 * noise(28800, 8)])
    cheap = Passt(weights=None, dtype=torch.bfloat16)
    found, expected = cheap.logits(waveform), passt.logits(waveform)
    assert found.dtype == torch.float32
    assert 0 < (found - expected).abs().max() < 0.05 * expected.std()
    exact, near = expected.log_softmax(-1), found.log_softmax(-1)
    assert (exact.exp() * (exact - near)).sum(-1).abs().max() < 1e-3  # nats, beside a KLD of 1.58


def test_sounds_the_network_cannot_hear_are_refused(passt):
    with pytest.raises(ValueError, match=r"hears 10 s, got 10\.05 s: cut"):
        passt.logits(torch.zeros(1, 321601))
    assert passt.logits(torch.zeros(0, 32000)).shape == (0, 527)
    with pytest.raises(ValueError, match=r"more than 0\.15 s"):
        passt.features(torch.zeros(1, 4800))
    with pytest.raises(ValueError, match=r"waveforms \[B, T\], got \[8000\]"):
        passt.logits(torch.zeros(8000))
    with pytest.raises(ValueError, match=r"mono waveform \[T\], got \[1, 8000\]"):
        PasstFeatures(passt).windows(torch.zeros(1, 8000))


def test_options_are_checked(passt):
    with pytest.raises(ValueError, match="model must be one of passt_s_swa_p16_128_ap476"):
        Passt(weights=None, model="passt_40sec")
    with pytest.raises(ValueError, match="segments must be one of split"):
        PasstFeatures(passt, segments="all")
    for wrong in (0.1, 10.0, float("nan")):
        with pytest.raises(ValueError, match=r"min_segment must be from 0\.15"):
            PasstFeatures(passt, min_segment=wrong)


def test_a_copy_for_a_worker_has_the_front_end_alone(passt):
    features = PasstFeatures(passt, segments="cut_or_pad")
    packed = pickle.dumps(features)
    assert len(packed) < 1000
    copy = pickle.loads(packed)
    torch.testing.assert_close(copy.windows(noise(9000)), features.windows(noise(9000)))
    with pytest.raises(ValueError, match="worker process"):
        copy.run(copy.windows(noise(9000)))


def test_the_registry_builds_the_variant_of_a_card():
    network = build_network(
        "passt", weights=None, options={"model": "passt_20sec", "segments": "split"}
    )
    assert network.windows(noise(700000)).shape == (2, 128, 2000)
    rows = network.run(network.windows(noise(9000)))
    assert rows["logits"].isfinite().all()


def test_published_weights_are_loaded_as_they_are(passt, tmp_path):
    """All twelve blocks share the numbers of the first, so that the file is small."""
    state = passt.network.state_dict()
    state |= {name: state[re.sub(r"^blocks\.\d+", "blocks.0", name)] for name in state}
    path = tmp_path / VARIANTS[BASE].file
    torch.save(state, path)
    loaded = build(weights=path)
    assert loaded.weights_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    found = loaded.passt.network.state_dict()
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], state[name]) for name in state)
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(ValueError, match=r"swa\.pt: cut short or damaged"):
        build(weights=path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("head.1.bias"), r"1 missing \(head\.1\.bias\)"),
        (lambda state: state.update(extra=torch.zeros(1)), r"1 unexpected \(extra\)"),
        (
            lambda state: state.update(time_new_pos_embed=torch.zeros(()).expand(1, 768, 1, 200)),
            r"time_new_pos_embed \[1, 768, 1, 200\] instead of \[1, 768, 1, 99\]",
        ),
        (lambda state: state.update(cls_token=torch.tensor(torch.nan).expand(1, 1, 768)), "finite"),
        (lambda state: None, "not PaSST's: a tone, noise and all 527 classes get the same"),
    ],
)
def test_weights_of_something_else_are_refused(sparse, tmp_path, change, message):
    state = dict(sparse)
    change(state)
    path = tmp_path / "weights.pt"
    torch.save(state, path)
    with pytest.raises(ValueError, match=message):
        Passt(weights=path)


def test_files_that_hold_no_weights_are_refused_by_name(tmp_path):
    for name, content, message in (
        ("page.pt", b"<!DOCTYPE html>\n<html>not found</html>", "page.pt: a web page"),
        ("empty.pt", b"", "empty.pt: the file is empty"),
        ("odd.pt", b"RIFF and so on", "odd.pt: not a file of torch.save"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=message):
            Passt(weights=tmp_path / name)
    with pytest.raises(ValueError, match=r"none\.pt: no such file"):
        Passt(weights=tmp_path / "none.pt")
    longer = tmp_path / VARIANTS["passt_20sec"].file
    longer.touch()
    with pytest.raises(ValueError, match="these are the weights of passt_20sec"):
        Passt(weights=longer)

"""OpenL3 against the package openl3 with the same numbers: tests/golden/make_openl3.py says how."""

import importlib.util
import json
import pickle
import re
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest
import torch

from evaluation.audio import file_sha256
from evaluation.embedders import openl3 as module
from evaluation.embedders.hashed import fill_hashed, hashed_uniform
from evaluation.embedders.openl3 import OpenL3, OpenL3Features, build
from evaluation.embedders.openl3_front import PICTURES
from evaluation.embedders.openl3_network import (
    FIRST_KEY,
    OpenL3Network,
    hash_openl3,
    hash_rule,
    load_openl3,
)
from evaluation.embedders.weight_file import empty_network
from evaluation.metrics.frechet import frechet_distance

FOLDER = Path(__file__).parents[2] / "golden"
GOLDEN = np.load(FOLDER / "openl3.npz")
NARROW_FILE = FOLDER / "openl3_narrow.h5"
NARROW = partial(OpenL3Network, channels=(2, 3, 4, 5))
stand_in = cache(lambda: OpenL3(weights=None))


def load_sounds():
    spec = importlib.util.spec_from_file_location("openl3_sounds", FOLDER / "openl3_sounds.py")
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


SOUNDS = load_sounds()


def sound(index, *, kind=0):
    return torch.from_numpy(SOUNDS.sound(index, kind=kind))


@pytest.fixture
def narrow(monkeypatch):
    """Make OpenL3 of few channels from the file that Keras wrote."""

    def make(**options):
        return OpenL3(weights=NARROW_FILE, **options)

    monkeypatch.setattr(module, "load_openl3", partial(load_openl3, kind=NARROW))
    return make


def test_what_wrote_the_golden_arrays():
    versions = json.loads(str(GOLDEN["versions"]))
    assert (versions["openl3"], versions["kapre"], versions["resampy"]) == (
        "0.4.2", "0.3.7", "0.2.2",
    )  # fmt: skip


@pytest.mark.parametrize(("sees", "off"), [("mel256", 0.01), ("mel128", 0.01), ("linear", 0.05)])
def test_the_full_networks_equal_the_reference(monkeypatch, sees, off):
    """What differs is the rounding of float32 spectra, of which bands of next to nothing consist;
    without mel filters there are more of these.
    """
    network = stand_in().network
    monkeypatch.setattr(module, "hash_openl3", lambda: network)
    features = OpenL3Features(OpenL3(weights=None, input_repr=sees))
    windows = features.windows(sound(2))
    assert windows.shape == (2, 2, PICTURES[sees].bands, PICTURES[sees].frames)
    windows = windows[:, :1] if sees == "mel256" else windows[:1, :1]  # half a second of work each
    embeddings = features.run(windows)["embedding"].numpy()[:, :512]
    expected = GOLDEN[f"full__{sees}_512"][: len(windows), :512]
    np.testing.assert_allclose(embeddings, expected, rtol=0, atol=off)
    assert embeddings.std() > 1.5  # so that the agreement says something
    larger = OpenL3(weights=None, input_repr=sees, embedding_size=6144).embed(windows[:1, 0])
    np.testing.assert_allclose(larger, GOLDEN[f"full__{sees}_6144"], rtol=0, atol=off)
    largest = larger.view(4, 3, 512).amax(dim=(0, 1))
    np.testing.assert_allclose(largest, embeddings[0], rtol=0, atol=1e-4)


def test_stereo_sounds_of_odd_lengths_equal_the_reference(narrow):
    features = OpenL3Features(narrow())
    gaussians = []
    for kind in range(2):
        rows = [
            features.run(features.windows(sound(index, kind=kind)))["embedding"]
            for index in range(len(SOUNDS.LENGTHS))
        ]
        assert [len(part) for part in rows] == GOLDEN[f"narrow__counts{kind}"].tolist()
        whole = torch.cat(rows).double()
        np.testing.assert_allclose(whole, GOLDEN[f"narrow__set{kind}"], rtol=0, atol=1e-3)
        gaussians += [whole.mean(dim=0), whole.T.cov()]
    distance = float(frechet_distance(*gaussians))
    np.testing.assert_allclose(distance, GOLDEN["narrow__distance"], rtol=1e-4)


@pytest.mark.parametrize("sees", PICTURES)
@pytest.mark.parametrize(("center", "name"), [(True, "centered"), (False, "not")])
def test_other_hops_pictures_and_beginnings(narrow, sees, center, name):
    openl3 = narrow(input_repr=sees)
    pictures = openl3.pictures(sound(3)[:1], sample_rate=44100, hop=0.1, center=center)
    expected = GOLDEN[f"narrow__{sees}_{name}"]
    off = 2e-2 if sees == "linear" else 2e-3
    np.testing.assert_allclose(openl3.embed(pictures[:, 0]), expected, rtol=0, atol=off)


def test_the_stand_in_has_the_numbers_of_the_golden_script():
    network = stand_in().network
    index = list(network.state_dict()).index("convs.0.weight")
    assert index == 40
    kernel = hashed_uniform((64, 1, 3, 3), key=FIRST_KEY + index, scale=(24 / 9) ** 0.5)
    torch.testing.assert_close(network.convs[0].weight, kernel, rtol=0, atol=0)
    count = sum(p.numel() for p in [*network.parameters(), *network.buffers()]) - len(network.norms)
    assert count == 4_689_860  # as Keras counts
    assert stand_in().weights_sha256 is None


def test_the_file_of_keras_is_the_network(narrow):
    openl3 = narrow()
    expected = empty_network(NARROW)
    fill_hashed(expected, hash_rule, first_key=FIRST_KEY)
    for name, tensor in openl3.network.state_dict().items():
        torch.testing.assert_close(tensor, expected.state_dict()[name], rtol=0, atol=0)
    assert openl3.weights_sha256 == file_sha256(NARROW_FILE)
    assert not openl3.stand_in


def test_one_channel_twice_is_drawn_once_and_says_the_same(narrow):
    features = OpenL3Features(narrow())
    twice = features.windows(sound(1))
    assert twice.shape == (2, 1, 256, 199)
    both = features.run(twice.expand(-1, 2, -1, -1))["embedding"]
    assert features.run(twice)["embedding"].equal(both)
    assert both[:, :5].equal(both[:, 5:])
    nearly = sound(1)
    nearly[1, 0] += 1e-3
    assert features.windows(nearly).shape == (2, 2, 256, 199)


def test_left_is_first(narrow):
    features = OpenL3Features(narrow())
    straight = features.run(features.windows(sound(0)))["embedding"]
    crossed = features.run(features.windows(sound(0).flip(0)))["embedding"]
    assert crossed.equal(torch.cat([straight[:, 5:], straight[:, :5]], dim=1))
    assert not straight.equal(crossed)


def test_a_batch_does_not_change_an_item(narrow):
    openl3 = narrow()
    pictures = hashed_uniform((2 * module.ROWS + 1, 256, 199), key=1, scale=80.0) - 40
    rows = openl3.embed(pictures)
    torch.testing.assert_close(rows[-1:], openl3.embed(pictures[-1:]), rtol=0, atol=1e-5)
    assert openl3.embed(pictures[:0]).shape == (0, 512)


def test_silence_and_the_shortest_sound_are_embedded(narrow):
    features = OpenL3Features(narrow())
    for length in (1, 44100):
        windows = features.windows(torch.zeros(2, length))
        assert not windows.any()
        assert features.run(windows)["embedding"].isfinite().all()


def test_a_copy_for_a_worker_cuts_the_same_windows():
    features = OpenL3Features(stand_in())
    sent = pickle.dumps(features)
    assert len(sent) < 10_000
    copy = pickle.loads(sent)
    assert copy.windows(sound(0)).equal(features.windows(sound(0)))
    with pytest.raises(ValueError, match="copy for a worker process"):
        copy.run(copy.windows(sound(0)))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"input_repr": "mel64"}, "input_repr must be one of mel256, mel128, linear, got 'mel64'"),
        ({"embedding_size": 1024}, "embedding_size must be 512 or 6144, got 1024"),
        ({"weights": Path("missing.h5")}, "missing.h5: no such file"),
        ({"window": 2.0}, "window must be 1.0 s, got 2.0: OpenL3 takes no other"),
        ({"hop": 0.0}, "hop must be a sample of 1 / 48000 s or more, got 0.0 s"),
        ({"center": "yes"}, "center must be true or false, got 'yes'"),
    ],
)
def test_wrong_options_are_refused(monkeypatch, options, words):
    monkeypatch.setattr(module, "hash_openl3", lambda: empty_network(NARROW))
    with pytest.raises(ValueError, match=re.escape(words)):
        build(**({"weights": None} | options))


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match=r"expected a sound of 2 channels, got \[44100\]"):
        OpenL3Features(stand_in()).windows(torch.zeros(44100))
    with pytest.raises(ValueError, match=r"expected pictures \[n, 256, 199\], got \[1, 199, 256\]"):
        stand_in().embed(torch.zeros(1, 199, 256))


def test_a_file_of_another_picture_is_refused_by_its_name(tmp_path):
    path = tmp_path / "openl3_audio_mel128_env.h5"
    path.write_bytes(NARROW_FILE.read_bytes())
    with pytest.raises(ValueError, match=r"weights of mel128 by its name.* is to be mel256"):
        OpenL3(weights=path)


def test_random_streams_come_out_as_they_went_in():
    before = torch.random.get_rng_state()
    hash_openl3()
    assert torch.random.get_rng_state().equal(before)

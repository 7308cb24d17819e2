"""Fast codecs: near the exact one, by measured bounds, and never mistaken for it."""

import copy
import warnings

import numpy as np
import pytest
import torch

from audiogen.checkpoint import load_codec, save_codec
from audiogen.codec.fast import FastCodec, accelerate, accelerated
from audiogen.codec.model import Codec
from audiogen.pipeline import AudioGen

OPTIONS = [
    {"convolutions": "float32", "lstm": "float32"},
    {"convolutions": "float32", "lstm": "bfloat16"},
    {"convolutions": "float32", "lstm": "int8"},
    {"convolutions": "bfloat16", "lstm": "float32"},
    {"convolutions": "bfloat16", "lstm": "bfloat16"},
    {"convolutions": "bfloat16", "lstm": "int8"},
]
# Largest standard deviation of the error over that of the signal, and the same for 100 random codes
BOUNDS = {"float32": 1e-5, "near": 5e-3, "fast": 3e-2}


def bound(options):
    if options["convolutions"] == "bfloat16":
        return BOUNDS["fast"]
    return BOUNDS["float32" if options["lstm"] == "float32" else "near"]


@pytest.fixture(scope="module")
def codec():
    torch.manual_seed(3)
    return Codec(
        num_filters=8, dimension=16, codebook_size=64, kmeans_init=False, init="scaled"
    ).eval()


@pytest.fixture
def sound():
    torch.manual_seed(4)
    return torch.randn(2, 1, 8000) / 10


def error(actual, expected):
    return ((actual - expected).std() / expected.std()).item()


@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: "-".join(o.values()))
@torch.no_grad()
def test_error_on_random_weights(codec, sound, options):
    fast = accelerate(codec, **options)
    codes = torch.randint(0, 64, (2, 4, 100))
    decoded = fast.decode(codes)
    assert decoded.dtype == torch.float32
    assert decoded.shape == codec.decode(codes).shape
    assert error(decoded, codec.decode(codes)) < bound(options)
    latents, _ = fast.encode_latents(sound)
    assert latents.dtype == torch.float32
    assert error(latents, codec.encode_latents(sound)[0]) < bound(options)
    changed = (fast.encode(sound)[0] != codec.encode(sound)[0]).float().mean(dim=(0, 2))
    assert changed[0] <= 2 * bound(options)
    whole = fast(sound)
    assert whole.waveform.dtype == torch.float32
    assert error(whole.waveform, fast.decode(whole.codes)[..., :8000]) < 1e-5


@pytest.mark.parametrize("case", ["codec_causal", "codec_renorm", "codec_nq8"])
@pytest.mark.parametrize("options", OPTIONS[1:], ids=lambda o: "-".join(o.values()))
@torch.no_grad()
def test_error_on_the_reference_arrays(make_codec, case, options):
    """Causal, reflecting, renormalizing: every branch in every format."""
    codec = make_codec(case)
    waveform = torch.randn(1, codec.channels, 4000, generator=torch.Generator().manual_seed(1)) / 10
    codes, scale = codec.encode(waveform)
    fast = accelerate(codec, **options)
    assert error(fast.decode(codes, scale), codec.decode(codes, scale)) < 2 * bound(options)


@pytest.mark.parametrize(
    "change",
    [
        {"norm": "time_group_norm"},
        {"norm": "none", "lstm_layers": 1},
        {"pad_mode": "replicate", "final_activation": "tanh", "true_skip": False, "lstm_layers": 1},
    ],
    ids=str,
)
@torch.no_grad()
def test_other_shapes(tiny_codec, change):
    codec = tiny_codec(num_filters=8, dimension=16, **change).eval()
    waveform = torch.randn(2, 1, 1003) / 10
    for options in OPTIONS:
        fast = accelerate(codec, **options)
        assert error(fast(waveform).latents, codec(waveform).latents) < 2 * bound(options)


@torch.no_grad()
def test_batches_are_their_items(codec):
    codes = torch.randint(0, 64, (3, 4, 40))
    for options in OPTIONS:
        fast = accelerate(codec, **options)
        one_by_one = torch.cat([fast.decode(item) for item in codes.split(1)])
        assert error(fast.decode(codes), one_by_one) < bound(options)


def test_the_exact_codec_stays_as_it_was(codec, sound):
    before = copy.deepcopy(codec.state_dict())
    expected = codec.encode(sound)[0]
    fast = accelerate(codec, convolutions="bfloat16", lstm="int8")
    fast.set_num_codebooks(2)
    fast.encode(sound)
    assert codec.num_codebooks == 4
    assert torch.equal(codec.encode(sound)[0], expected)
    torch.testing.assert_close(codec.state_dict(), before, rtol=0, atol=0)


def test_results_need_no_gradient(codec, sound):
    fast = accelerate(codec, convolutions="bfloat16", lstm="bfloat16")
    output = fast(sound)
    assert not output.waveform.requires_grad
    assert not fast.decode(output.codes).requires_grad
    assert not fast.encode_latents(sound)[0].requires_grad


def test_refuses_what_would_mistake_it_for_the_exact_one(codec, tmp_path):
    fast = accelerate(codec, convolutions="bfloat16")
    assert fast.fingerprint() == codec.fingerprint()
    assert fast.config == codec.config
    assert not fast.training
    assert fast.eval() is fast
    with pytest.raises(ValueError, match="cannot be trained: load it without fast"):
        fast.train()
    with pytest.raises(ValueError, match="save the one it was made from"):
        save_codec(fast, tmp_path / "codec")
    assert not (tmp_path / "codec").exists()
    with pytest.raises(ValueError, match="cannot take weights"):
        fast.load_state_dict(codec.state_dict())
    with pytest.raises(ValueError, match="a fast one already"):
        accelerate(fast)


def test_does_not_move(codec):
    fast = accelerate(codec, lstm="int8")
    assert fast.to("cpu") is fast
    assert fast.float() is fast
    for move in (fast.double, fast.half, lambda: fast.to("meta"), lambda: fast.to(torch.bfloat16)):
        with pytest.raises(ValueError, match="move the codec first, then make it fast"):
            move()


@pytest.mark.parametrize(
    ("fast", "message"),
    [
        ("faster", "fast must be near or fast"),
        ({"lstm": "int4"}, "lstm one of float32, bfloat16, int8; got 'float32' and 'int4'"),
        ({"convolutions": "int8"}, "convolutions must be one of float32, bfloat16"),
        ({"convs": "bfloat16"}, "not convs"),
    ],
)
def test_wrong_options(codec, fast, message):
    with pytest.raises(ValueError, match=message):
        accelerated(codec, fast)


def test_int8_is_for_the_cpu(codec):
    with pytest.raises(ValueError, match="runs on a CPU, the codec is on meta: take 'bfloat16'"):
        accelerate(copy.deepcopy(codec).to("meta"), lstm="int8")


def test_fast_is_int8_on_a_cpu_and_bfloat16_elsewhere(codec, monkeypatch):
    monkeypatch.setattr(Codec, "fingerprint", lambda self: "")  # there is nothing to hash on meta
    elsewhere = accelerated(copy.deepcopy(codec).to("meta"), "fast")
    assert elsewhere.options == {"convolutions": "bfloat16", "lstm": "bfloat16"}
    assert accelerated(codec, "fast").options == {"convolutions": "bfloat16", "lstm": "int8"}


def test_makes_no_warning(codec):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        accelerate(codec, convolutions="bfloat16", lstm="int8")


def test_loads_fast_from_a_folder(codec, sound, tmp_path):
    save_codec(codec, tmp_path / "codec")
    assert type(load_codec(tmp_path / "codec")) is Codec
    for preset in ("near", "fast"):
        fast = Codec.from_pretrained(tmp_path / "codec", device="cpu", fast=preset)
        assert isinstance(fast, FastCodec)
        assert fast.fingerprint() == codec.fingerprint()
        latents = fast.encode_latents(sound)[0]
        assert error(latents, codec.encode_latents(sound)[0]) < BOUNDS[preset]
    with pytest.raises(ValueError, match="fast must be near or fast"):
        Codec.from_pretrained(tmp_path / "codec", fast="slow")


def test_smaller_than_the_exact_one(codec):
    """The convolutions' weights are there once, in 16 bits."""
    fast = accelerate(codec, convolutions="bfloat16")

    def held(network):
        convolutions = [m for m in network.modules() if hasattr(m, "conv")]
        return sum(p.numel() * p.element_size() for m in convolutions for p in m.parameters())

    assert held(fast.decoder) < 0.52 * held(codec.decoder)


def test_array_formats_survive(codec):
    """Codes come back as int64, as everybody downstream expects."""
    codes, scale = accelerate(codec, lstm="int8").encode(torch.zeros(1, 1, 640))
    assert codes.dtype == torch.int64
    assert scale is None
    assert np.asarray(codes).shape == (1, 4, 2)


def test_whole_models_take_it_along(saved):
    model = AudioGen.from_pretrained(saved, codec_fast="fast")
    assert isinstance(model.codec, FastCodec)
    assert torch.isfinite(model.generate(["rain"], duration=0.2, seed=1)).all()
    with pytest.raises(ValueError, match="save the one it was made from"):
        model.save_pretrained(saved.parent / "again")

"""Encoding and decoding piece by piece equals doing it at once, for every shape of codec.

In double precision the two agree to 1e-12: the arithmetic is the same. In float32 a convolution
sums in another order for another length, hence 1e-6 of the peak where equality is meant.
"""

import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from audiogen.codec import stream_layers
from audiogen.codec.fast import accelerate
from audiogen.codec.model import Codec
from audiogen.codec.streaming import (
    StreamingDecoder,
    StreamingEncoder,
    can_stream,
    decode_long,
    encode_long,
    measure_scale,
)

SHAPES = {
    "base": {},
    "without LSTM": {"lstm_layers": 0},
    "causal": {"causal": True},
    "causal, trimmed on the left": {"causal": True, "trim_right_ratio": 0.0},
    "causal, reflected": {"causal": True, "pad_mode": "reflect"},
    "reflected": {"pad_mode": "reflect"},
    "replicated": {"pad_mode": "replicate"},
    "stereo": {"channels": 2},
    "deep and dilated": {"num_residual_layers": 3, "dilation_base": 3, "true_skip": False},
    "wide kernels": {"kernel_size": 9, "last_kernel_size": 15, "residual_kernel_size": 5},
    "even kernels": {"kernel_size": 4, "last_kernel_size": 2, "residual_kernel_size": 2},
    "odd strides": {"ratios": (5, 3)},
    "stride of one": {"ratios": (1, 3)},
    "spectral norm": {"norm": "spectral_norm"},
    "halves that differ": {
        "final_activation": "tanh",
        "decoder_overrides": {"kernel_size": 3, "pad_mode": "replicate"},
        "encoder_overrides": {"activation": "gelu", "lstm_layers": 2, "ratios": (2, 8, 2)},
    },
}

architectures = st.fixed_dictionaries(
    {
        "channels": st.integers(1, 2),
        "ratios": st.lists(st.integers(1, 5), min_size=1, max_size=3),
        "num_residual_layers": st.integers(0, 3),
        "kernel_size": st.integers(1, 8),
        "last_kernel_size": st.integers(1, 8),
        "residual_kernel_size": st.integers(1, 4),
        "dilation_base": st.integers(1, 3),
        "compress": st.integers(1, 2),
        "lstm_layers": st.integers(0, 2),
        "norm": st.sampled_from(["none", "weight_norm"]),
        "pad_mode": st.sampled_from(["constant", "reflect", "replicate"]),
        "true_skip": st.booleans(),
        "activation": st.sampled_from(["elu", "leaky_relu", "silu"]),
    }
)
timing = st.one_of(
    st.just({"causal": False}),
    st.fixed_dictionaries({"causal": st.just(True), "trim_right_ratio": st.floats(0, 1)}),
)
seeds = st.integers(0, 2**16)
cuts = st.lists(st.integers(0, 40), max_size=8)
widest = st.sampled_from([1 << 21, 300])  # bytes; the second cuts pieces of some samples


def make(**changes: object) -> Codec:
    config = {"dimension": 4, "num_filters": 2, "ratios": (4, 4, 2), "codebook_size": 16}
    return Codec(**(config | {"init": "scaled"} | changes)).eval()


def chunks(whole: torch.Tensor, sizes: list[int]) -> list[torch.Tensor]:
    """Cut along time: ``sizes``, and what is left."""
    ends = torch.tensor([0, *sizes]).cumsum(0).clamp(max=whole.shape[-1]).tolist()
    pairs = zip(ends, [*ends[1:], whole.shape[-1]], strict=True)
    return [whole[..., begin:end] for begin, end in pairs]


def run(stream: StreamingEncoder | StreamingDecoder, pieces: list[torch.Tensor]) -> torch.Tensor:
    return torch.cat([*(stream.push(piece) for piece in pieces), stream.finish()], dim=-1)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return 0.3 * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def random_codes(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(16, shape, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=40, deadline=None)
@given(architectures, timing, seeds, st.integers(1, 150), cuts, widest)
def test_encoding_any_pieces_of_any_codec(architecture, timing, seed, length, cuts, widest):
    torch.manual_seed(seed)
    codec = make(**architecture, **timing)
    codec.encoder.double()
    waveform = noise(2, codec.channels, length, seed=seed).double()
    with patch.object(stream_layers, "WIDEST", widest):
        stream = stream_layers.encoder_stream(codec.encoder.layers)
    *pieces, end = chunks(waveform, cuts)
    with torch.no_grad():
        whole = codec.encoder(waveform)
        latents = [stream.push(piece, last=False) for piece in pieces]
        latents.append(stream.push(end, last=True))
        streamed = torch.cat(latents, dim=-1)
    torch.testing.assert_close(streamed, whole, rtol=1e-12, atol=1e-12)
    assert torch.equal(codec.quantizer.encode(streamed), codec.quantizer.encode(whole))


@settings(max_examples=40, deadline=None)
@given(architectures, timing, seeds, st.integers(1, 40), cuts, widest)
def test_decoding_any_pieces_of_any_codec(architecture, timing, seed, length, cuts, widest):
    torch.manual_seed(seed)
    codec = make(**architecture, **timing).double()
    codes = random_codes(2, 3, length, seed=seed)
    with torch.no_grad():
        whole = codec.decode(codes)
    with patch.object(stream_layers, "WIDEST", widest):
        streamed = run(StreamingDecoder(codec), chunks(codes, cuts))
    torch.testing.assert_close(streamed, whole, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize(("size", "widest"), [(23, 1 << 21), (1000, 300)])
def test_in_single_precision(monkeypatch, shape, size, widest):
    monkeypatch.setattr(stream_layers, "WIDEST", widest)
    torch.manual_seed(0)
    codec = make(**shape)
    waveform = noise(2, codec.channels, 500)
    with torch.no_grad():
        codes, _ = codec.encode(waveform)
        whole = codec.decode(codes)
    assert torch.equal(run(StreamingEncoder(codec), list(waveform.split(size, -1))), codes)
    assert torch.equal(torch.cat(list(encode_long(codec, [waveform], piece=size)), -1), codes)
    streamed = run(StreamingDecoder(codec), list(codes.split(size, -1)))
    close = {"rtol": 0, "atol": 1e-6 * whole.abs().max().item()}
    torch.testing.assert_close(streamed, whole, **close)
    pieces = list(decode_long(codec, [codes], piece=size))
    torch.testing.assert_close(torch.cat(pieces, dim=-1), whole, **close)
    assert whole.abs().max() > 0.01


@pytest.mark.parametrize("widest", [1 << 21, 3000])
@pytest.mark.parametrize(
    ("options", "atol"),  # of the peak; rounding to bfloat16 may turn 1e-7 into 2 ** -8
    [({"convolutions": "bfloat16"}, 1e-2), ({"lstm": "bfloat16"}, 1e-5), ({"lstm": "int8"}, 1e-2)],
)
def test_a_fast_codec_streams_too(monkeypatch, options, atol, widest):
    """Its pieces are those of its whole; an int8 LSTM, though, finds its scales per piece."""
    monkeypatch.setattr(stream_layers, "WIDEST", widest)
    torch.manual_seed(0)
    codec = accelerate(make(num_filters=4, true_skip=False), **options)
    waveform = noise(2, 1, 1500)
    codes, _ = codec.encode(waveform)
    streamed = torch.cat(list(encode_long(codec, [waveform], piece=301)), dim=-1)
    assert (streamed == codes).float().mean() > 0.97
    whole = codec.decode(codes)
    pieces = torch.cat(list(decode_long(codec, [codes], piece=301)), dim=-1)
    torch.testing.assert_close(pieces, whole, rtol=0, atol=atol * whole.abs().max().item())


@pytest.mark.parametrize("case", ["codec_causal", "codec_nq8"])
def test_codes_are_those_of_the_reference(golden, make_codec, case):
    codec, (expected, _) = make_codec(case), golden(case)
    pieces = list(expected["x1"].split(77, dim=-1))
    assert torch.equal(run(StreamingEncoder(codec), pieces), expected["codes1"])


@pytest.mark.parametrize(
    "name",
    ["base", "causal", "causal, trimmed on the left", "reflected", "even kernels", "odd strides"],
)
def test_nothing_waits_longer_than_the_latency(name):
    """After n samples, floor((n - latency) / hop) frames are out; after n frames, samples alike."""
    codec = make(**SHAPES[name])
    reflect = codec.config["pad_mode"] == "reflect"
    encoder, decoder = StreamingEncoder(codec), StreamingDecoder(codec)
    frames = samples = 0
    for n, sample in enumerate(noise(1, codec.channels, 320).unbind(-1), start=1):
        frames += encoder.push(sample[..., None]).shape[-1]
        due = max(0, (n - encoder.latency) // codec.hop_length)
        assert frames == due or (reflect and frames < due and n < 300)
    for n, frame in enumerate(random_codes(1, 2, 30).unbind(-1), start=1):
        samples += decoder.push(frame[..., None]).shape[-1]
        due = max(0, n * codec.hop_length - decoder.latency)
        assert samples == due or (reflect and samples < due and n < 20)


@pytest.mark.parametrize("shape", [{}, {"causal": True}, SHAPES["even kernels"]])
def test_the_latency_is_what_a_frame_depends_on(shape):
    """The last sample it waits for changes it, the one behind that does not."""
    codec = make(**shape, lstm_layers=0)
    codec.encoder.double()
    waveform = noise(1, 1, 900).double()
    end = 10 * codec.hop_length + StreamingEncoder(codec).latency  # of frame 9
    last, behind = waveform.clone(), waveform.clone()
    last[..., end - 1] += 1
    behind[..., end] += 1
    with torch.no_grad():
        frames = [codec.encoder(x)[..., 9] for x in (waveform, last, behind)]
    assert not torch.equal(frames[0], frames[1])
    torch.testing.assert_close(frames[0], frames[2], rtol=0, atol=1e-13)


def test_a_causal_codec_looks_no_sample_ahead():
    assert StreamingEncoder(make(causal=True)).latency == 0
    assert StreamingDecoder(make(causal=True)).latency == 0
    real = Codec(num_filters=2, dimension=4)  # the strides and kernels of the published codec
    # Half a kernel each: first, residual and strided convolutions, last.
    ahead = 3 + (1 + 1) + 2 * (1 + 2) + 8 * (1 + 2) + 40 * (1 + 4) + 320 * 3
    assert StreamingEncoder(real).latency == ahead
    # First convolution, then what upsampling cuts from the left and residual convolutions, last.
    ahead = 320 * 3 + 40 * (4 + 1) + 8 * (3 + 1) + 2 * (2 + 1) + (1 + 1) + 3
    assert StreamingDecoder(real).latency == ahead


def test_a_renormalizing_codec_is_given_its_scale():
    codec = make(renormalize=True, channels=2)
    waveform = noise(3, 2, 500) * torch.tensor([0.01, 1, 10])[:, None, None]
    with torch.no_grad():
        codes, expected = codec.encode(waveform)
        sound = codec.decode(codes, expected)
    pieces = list(waveform.split(37, dim=-1))
    scale = measure_scale(pieces)
    torch.testing.assert_close(scale, expected, rtol=1e-6, atol=0)
    assert torch.equal(run(StreamingEncoder(codec, scale=scale), pieces), codes)
    streamed = run(StreamingDecoder(codec, scale=scale), [codes])
    torch.testing.assert_close(streamed, sound, rtol=1e-4, atol=1e-5)
    for kind in (StreamingEncoder, StreamingDecoder):
        with pytest.raises(ValueError, match="pass scale, as measure_scale"):
            kind(codec)
        with pytest.raises(ValueError, match="knows no scale"):
            kind(make(), scale=scale)
        with pytest.raises(ValueError, match=r"scale must be float \[B, 1\]"):
            kind(codec, scale=torch.tensor([[float("nan")]]))
    with pytest.raises(ValueError, match="scale is for 3 items, the pieces have 2"):
        StreamingEncoder(codec, scale=scale).push(waveform[:2])
    with pytest.raises(ValueError, match="no sample to measure"):
        measure_scale([])


def test_a_norm_over_the_whole_sound_cannot_stream():
    codec = make(norm="time_group_norm")
    assert not can_stream(codec)
    for kind in (StreamingEncoder, StreamingDecoder):
        with pytest.raises(ValueError, match="encode and decode at once"):
            kind(codec)
    outer = make(norm="time_group_norm", disable_norm_outer_blocks=5)
    assert can_stream(outer)
    assert run(StreamingEncoder(outer), [noise(1, 1, 70)]).shape == (1, 4, 3)


def test_a_stream_ends_once():
    codec = make()
    for stream, piece in [
        (StreamingEncoder(codec), noise(1, 1, 70)),
        (StreamingDecoder(codec), random_codes(1, 2, 5)),
    ]:
        with pytest.raises(ValueError, match="nothing was pushed"):
            stream.finish()
        assert stream.push(piece[..., :0]).shape[-1] == 0
        with pytest.raises(ValueError, match="nothing was pushed"):
            stream.finish()
        stream.push(piece)
        stream.finish()
        with pytest.raises(ValueError, match="this stream is finished"):
            stream.push(piece)
        with pytest.raises(ValueError, match="this stream is finished"):
            stream.finish()


def test_pieces_that_do_not_fit():
    codec = make()
    encoder, decoder = StreamingEncoder(codec), StreamingDecoder(codec)
    encoder.push(noise(2, 1, 40))
    decoder.push(random_codes(2, 3, 4))
    with pytest.raises(ValueError, match=r"began with \[2, 1\], got \[1, 1\]"):
        encoder.push(noise(1, 1, 40))
    with pytest.raises(ValueError, match=r"began with \[2, 3\], got \[2, 4\]"):
        decoder.push(random_codes(2, 4, 4))
    for wrong in (
        noise(2, 2, 40),
        noise(2, 2, 0),
        noise(2, 40),
        noise(2, 0),
        random_codes(2, 1, 5),
    ):
        with pytest.raises(ValueError, match="expected a"):
            encoder.push(wrong)
    for wrong in (noise(2, 3, 4), random_codes(2, 3), noise(2, 3, 0), random_codes(2, 0)):
        with pytest.raises(ValueError, match="expected integer codes"):
            decoder.push(wrong)
    with pytest.raises(ValueError, match=r"must be in \[0, 16\), got 16 to 16"):
        decoder.push(torch.full((2, 3, 4), 16))
    # What was refused has left no trace.
    rest = torch.cat([encoder.push(noise(2, 1, 60, seed=1)), encoder.finish()], dim=-1)
    whole = torch.cat([noise(2, 1, 40), noise(2, 1, 60, seed=1)], dim=-1)
    assert torch.equal(rest, codec.encode(whole)[0][..., -rest.shape[-1] :])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e38])
def test_no_codes_of_samples_that_are_no_sound(value):
    stream = StreamingEncoder(make())
    stream.push(noise(1, 1, 100))
    with pytest.raises(ValueError, match="not finite"):
        stream.push(torch.full((1, 1, 100), value))


def test_fewer_codebooks():
    codec = make()
    waveform = noise(1, 1, 200)
    codec.set_num_codebooks(2)
    stream = StreamingEncoder(codec)
    first = stream.push(waveform[..., :150])
    codec.set_num_codebooks(3)
    with pytest.raises(ValueError, match="in the middle of a stream that began with 2"):
        stream.push(waveform[..., 150:])
    codec.set_num_codebooks(4)
    assert torch.equal(codec.encode(waveform)[0][:, :2, : first.shape[-1]], first)


def test_no_gradient_is_kept():
    codec = make()
    waveform = noise(1, 1, 400).requires_grad_()
    sound = torch.cat(list(decode_long(codec, encode_long(codec, [waveform]))), dim=-1)
    assert not sound.requires_grad
    assert F.mse_loss(sound, codec.decode(codec.encode(waveform)[0])) < 1e-10


PEAKS = """
import re, torch
from pathlib import Path
from audiogen.codec.model import Codec
from audiogen.codec.streaming import decode_long, encode_long
torch.set_num_threads(1)
codec = Codec(num_filters=8, ratios=(8, 8), dimension=8, lstm_layers=1, codebook_size=16).eval()
second = torch.randn(1, 1, 16000) / 10
def both(seconds):
    codes = encode_long(codec, (second for _ in range(seconds)))
    assert sum(piece.shape[-1] for piece in decode_long(codec, codes)) == 16000 * seconds
def at_once(seconds):  # with the graph of a training step, so that nothing can be let go
    codec.decode(codec.encode(second.repeat(1, 1, seconds))[0])
for run, seconds in [(both, 4), (both, 80), (at_once, 40)]:
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew: importing torch had one
    run(seconds)
    status = Path("/proc/self/status").read_text()
    print(int(re.search("VmHWM:(.+)kB", status)[1]) // 1024)
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peaks are read from /proc")
def test_memory_does_not_grow_with_the_sound():
    command = [sys.executable, "-c", PEAKS]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    short, long, whole = (int(word) for word in done.stdout.split())  # MiB
    assert long - short < 10
    assert whole - long > 80

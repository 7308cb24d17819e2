"""The scale of a stream is checked as that of a whole sound is."""

import pytest
import torch

from audiogen.codec.streaming import StreamingDecoder, StreamingEncoder, measure_scale

NAN, INFINITE = torch.nan, torch.inf


@pytest.mark.parametrize(
    "scale",
    [
        torch.ones(2, 1, dtype=torch.int64),
        torch.ones(2, 1, dtype=torch.bool),
        torch.ones(2, 1, dtype=torch.complex64),
        torch.ones(2),
        torch.ones(1, 2),
        torch.ones(2, 1, 1),
        torch.tensor(1.0),
        torch.tensor([[1.0], [NAN]]),
        torch.tensor([[1.0], [INFINITE]]),
        torch.tensor([[1.0], [0.0]]),
        torch.tensor([[1.0], [-1.0]]),
    ],
)
def test_scales_that_are_refused(tiny_codec, scale):
    codec = tiny_codec(renormalize=True).eval()
    for kind in (StreamingEncoder, StreamingDecoder):
        with pytest.raises(ValueError, match=r"scale must be float \[B, 1\], .* got torch"):
            kind(codec, scale=scale)


def test_a_number_is_no_scale(tiny_codec):
    codec = tiny_codec(renormalize=True).eval()
    for kind in (StreamingEncoder, StreamingDecoder):
        with pytest.raises(ValueError, match=r"torch tensor of scales float \[B, 1\], got float"):
            kind(codec, scale=0.5)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_a_scale_in_another_dtype_does_not_change_that_of_the_codec(tiny_codec, dtype):
    codec = tiny_codec(renormalize=True).eval()
    x = torch.randn(2, 1, 200)
    scale = codec.encode(x)[1].to(dtype)
    encoder, decoder = StreamingEncoder(codec, scale=scale), StreamingDecoder(codec, scale=scale)
    codes = torch.cat([encoder.push(x), encoder.finish()], dim=-1)
    sound = torch.cat([decoder.push(codes), decoder.finish()], dim=-1)
    assert codes.shape == (2, 4, 10)
    assert sound.dtype == codec.decode(codes, scale).dtype == torch.float32
    torch.testing.assert_close(sound, codec.decode(codes, scale), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("pieces", "message"),
    [
        ([torch.zeros(1, 1, 5, dtype=torch.int16)], r"pieces float \[B, C, t\], got torch.int16"),
        ([torch.zeros(5)], r"got torch.float32 of shape \[5\]"),
        ([torch.zeros(1, 5)], r"of shape \[1, 5\]"),
        ([torch.zeros(1, 0, 5)], r"of shape \[1, 0, 5\]"),
        ([torch.zeros(2, 1, 5), torch.zeros(1, 1, 5)], r"began with 2 item.*shape \[1, 1, 5\]"),
        ([torch.tensor([[[0.0]], [[NAN]]])], "item 1 has samples that are NaN"),
        ([torch.tensor([[[INFINITE]]]), torch.zeros(1, 1, 5)], "item 0 has samples"),
        ([[0.0, 1.0]], "expected a torch tensor of samples"),
        ([torch.zeros(1, 1, 0)], "no sample to measure"),
    ],
)
def test_what_has_no_loudness(pieces, message):
    with pytest.raises(ValueError, match=message):
        measure_scale(pieces)


def test_sixteen_bits_are_measured_in_thirty_two(tiny_codec):
    codec = tiny_codec(renormalize=True, channels=2).eval().bfloat16()
    x = torch.randn(2, 2, 200).bfloat16()
    torch.testing.assert_close(measure_scale([x]), codec.encode(x)[1], rtol=1e-6, atol=0)

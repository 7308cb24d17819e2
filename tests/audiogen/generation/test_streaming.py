"""Decoding piece by piece equals decoding at once, for every shape of codec."""

import pytest
import torch

from audiogen.generation.streaming import StreamDecoder, decode_pieces

SHAPES = {
    "base": {},
    "without LSTM": {"lstm_layers": 0},
    "two LSTM layers": {"lstm_layers": 2},
    "causal": {"causal": True},
    "causal, trimmed on the left": {"causal": True, "trim_right_ratio": 0.0},
    "reflected": {"pad_mode": "reflect"},
    "stereo": {"channels": 2},
    "deep and dilated": {"num_residual_layers": 3, "dilation_base": 3},
    "wide kernels": {"kernel_size": 9, "last_kernel_size": 15, "residual_kernel_size": 5},
    "odd strides": {"ratios": (5, 3)},
    "bounded decoder": {"final_activation": "tanh", "decoder_overrides": {"kernel_size": 3}},
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("size", [1, 7, 64])
def test_pieces_join_to_the_whole(make_model, shape, size):
    codec = make_model(**shape).codec
    codes = torch.randint(16, (2, 3, 61), generator=torch.Generator().manual_seed(0))
    whole = codec.decode(codes).detach()
    pieces = list(decode_pieces(StreamDecoder(codec), codes.unbind(dim=-1), size=size))
    assert len(pieces) > 20 or size > 1  # it does not wait for the end
    torch.testing.assert_close(torch.cat(pieces, dim=-1), whole, rtol=0, atol=1e-5)
    assert whole.abs().max() > 0.01


def test_memory_does_not_grow(make_model):
    decoder = StreamDecoder(make_model().codec)
    for _ in range(40):
        decoder.push(torch.zeros(1, 3, 10, dtype=torch.long))
    assert decoder.first.kept.shape[-1] < 20
    assert decoder.rest.kept.shape[-1] < 20


def test_a_norm_over_the_whole_sound_cannot_stream(make_model):
    codec = make_model(norm="time_group_norm").codec
    with pytest.raises(ValueError, match="decode all codes at once"):
        StreamDecoder(codec)

"""Decoding frames as they come equals decoding all of them at once."""

import pytest
import torch

from audiogen.codec.streaming import StreamingDecoder
from audiogen.generation.streaming import decode_pieces


@pytest.mark.parametrize("shape", [{}, {"causal": True}, {"channels": 2, "pad_mode": "reflect"}])
@pytest.mark.parametrize("size", [1, 7, 64])
def test_pieces_join_to_the_whole(make_model, shape, size):
    codec = make_model(**shape).codec
    codes = torch.randint(16, (2, 3, 61), generator=torch.Generator().manual_seed(0))
    whole = codec.decode(codes).detach()
    pieces = list(decode_pieces(StreamingDecoder(codec), codes.unbind(dim=-1), size=size))
    assert len(pieces) > 20 or size > 1  # it does not wait for the end
    assert len(pieces) <= -(-61 // size)  # what the end brings comes with the last piece
    torch.testing.assert_close(torch.cat(pieces, dim=-1), whole, rtol=0, atol=1e-5)
    assert whole.abs().max() > 0.01

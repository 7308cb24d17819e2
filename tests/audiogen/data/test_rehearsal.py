import numpy as np
import pytest
import torch

from audiogen.data.rehearsal import RehearsedTokens
from audiogen.data.shards import TokenError, TokenShardWriter
from audiogen.data.tokens import TokenDataset

K, N = 2, 8


def write(folder, *, caption, frames=5, codec="c"):
    rng = np.random.default_rng(0)
    codes = rng.integers(N, size=(6, K, frames)).astype(np.uint16)
    facts = {"codec_hash": codec, "manifest_hash": "m", "sample_rate": 16_000, "frame_rate": 50}
    facts |= {"num_codebooks": K, "codebook_size": N, "segment_frames": frames}
    rows = [
        {"id": str(i), "captions": [caption], "frames": frames, "split": "train"} for i in range(6)
    ]
    writer = TokenShardWriter(folder, facts=facts)
    writer.write(0, codes, rows)
    writer.finish(num_shards=1)
    return folder


@pytest.fixture
def own(tmp_path):
    return write(tmp_path / "own", caption="own")


def test_a_share_of_the_items_is_of_the_other_folder(own, tmp_path):
    known = write(tmp_path / "known", caption="known", frames=9)
    data = RehearsedTokens(own, known=known, share=0.25, split="train", seed=1)
    items = [data[i] for i in range(2000)]
    rehearsed = [i for i, item in enumerate(items) if item["caption"] == "known"]
    # 2000 draws of a quarter: four standard deviations are 78.
    assert abs(len(rehearsed) - 500) < 78
    assert {tuple(item["codes"].shape) for item in items} == {(K, 5)}
    assert len(data) == 6
    again = RehearsedTokens(own, known=known, share=0.25, split="train", seed=1)
    assert all(torch.equal(again[i]["codes"], items[i]["codes"]) for i in (0, 7, 1999))


def test_without_a_share_it_is_the_folder(own):
    data = RehearsedTokens(own, split="train", seed=1)
    plain = TokenDataset(own, split="train", seed=1)
    assert all(torch.equal(data[i]["codes"], plain[i]["codes"]) for i in range(12))
    assert data.header == plain.header


def test_what_cannot_be_mixed_is_refused(own, tmp_path):
    with pytest.raises(ValueError, match="of what is not said"):
        RehearsedTokens(own, share=0.5, split="train", seed=1)
    for share in (1.0, -0.1, float("nan")):
        with pytest.raises(ValueError, match=r"must be in \[0, 1\)"):
            RehearsedTokens(own, known=own, share=share, split="train", seed=1)
    other = write(tmp_path / "other", caption="other", codec="d")
    with pytest.raises(TokenError, match="are of codec d"):
        RehearsedTokens(own, known=other, share=0.5, split="train", seed=1)
    short = write(tmp_path / "short", caption="short", frames=3)
    with pytest.raises(TokenError, match="asked for crops of 5"):
        RehearsedTokens(own, known=short, share=0.5, split="train", seed=1)

import math

import numpy as np
import pytest
import torch

from audiogen.data.shards import TokenError, TokenShardWriter
from audiogen.lm.model import TokenLM
from audiogen.text.hashed import HashedEncoder
from recipes.audiogen_cpu.held_out import (
    NONE,
    OWN,
    SHUFFLED,
    SHUFFLES,
    Clip,
    measure,
    other_captions,
    read_held_out,
)

K, N, T = 2, 8, 5
ITEMS = [  # id, caption, class, split, frames
    ("bark#0", "A dog barks.", "dog", "test", T),
    ("drops", "Rain falls.", "rain", "train", T),
    ("bark#1", "A dog barks.", "dog", "test", 3),
    ("rain", "Rain falls.", "rain", "test", T),
    ("silent", None, "rain", "test", T),
    ("howl", "A dog howls.", "dog", "test", T),
]


def write_tokens(folder, items=ITEMS):
    rng = np.random.default_rng(0)
    codes = rng.integers(N, size=(len(items), K, T)).astype(np.uint16)
    facts = {"codec_hash": "c", "manifest_hash": "m", "sample_rate": 16_000, "frame_rate": 50}
    facts |= {"num_codebooks": K, "codebook_size": N, "segment_frames": T}
    rows = [
        {
            "id": name,
            "captions": [caption] if caption else [],
            "frames": frames,
            "split": split,
            "labels": {"class": group},
            "source": "esc50",
            "licence": "CC0-1.0",
        }
        for name, caption, group, split, frames in items
    ]
    writer = TokenShardWriter(folder, facts=facts)
    writer.write(0, codes[:2], rows[:2])
    writer.write(1, codes[2:], rows[2:])
    writer.finish(num_shards=2)
    return torch.from_numpy(codes.astype(np.int64))


@pytest.fixture
def held_out(tmp_path):
    write_tokens(tmp_path)
    return read_held_out(tmp_path, "test")


@pytest.fixture
def model():
    torch.manual_seed(0)
    text = HashedEncoder(dim=8, num_buckets=64, max_words=8).eval()
    keywords = {"dim": 16, "num_layers": 1, "num_heads": 2, "delays": [0, 1]}
    lm = TokenLM(num_codebooks=K, codebook_size=N, text_dim=8, **keywords).eval()
    return lm, text


def test_rows_of_a_clip_are_gathered_and_clips_without_a_caption_left_out(tmp_path):
    codes = write_tokens(tmp_path)
    held_out = read_held_out(tmp_path, "test")
    assert [(c.id, c.group) for c in held_out.clips] == [
        ("bark", "dog"), ("rain", "rain"), ("howl", "dog"),
    ]  # fmt: skip
    assert held_out.owners.tolist() == [0, 0, 1, 2]
    assert torch.equal(held_out.codes, codes[[0, 2, 3, 5]])
    assert held_out.mask[:, 0].sum(dim=1).tolist() == [5, 3, 5, 5]
    assert (held_out.sources, held_out.licences) == (["esc50"], ["CC0-1.0"])


def test_a_limit_is_spread_over_the_rows(tmp_path):
    write_tokens(tmp_path)
    held_out = read_held_out(tmp_path, "test", limit=2)
    assert [clip.id for clip in held_out.clips] == ["bark", "rain"]
    assert held_out.owners.tolist() == [0, 1]


def test_costs_are_those_of_a_loop_over_single_codes(held_out, model):
    lm, text = model
    costs = measure(lm, text, held_out, seed=1)
    asked = {OWN: [[c.caption] for c in held_out.clips], NONE: [[None]] * 3}
    asked[SHUFFLED] = other_captions(held_out.clips, seed=1)
    for condition, captions in asked.items():
        expected = torch.zeros(3, K, dtype=torch.float64)
        count = torch.zeros(3)
        frames = torch.zeros(3, T, dtype=torch.float64)
        rows = torch.zeros(3, T)
        for owner, codes, mask in zip(held_out.owners, held_out.codes, held_out.mask, strict=True):
            length = int(mask[0].sum())
            for caption in captions[owner]:
                states, heard = text.encode([caption])
                with torch.no_grad():
                    logits, _ = lm.predict(
                        codes[None], lm.project_text(states, heard), heard, complete=True
                    )
                for t in range(length):
                    for k in range(K):
                        nats = -logits[0, k, t].double().log_softmax(-1)[codes[k, t]]
                        expected[owner, k] += nats
                        frames[owner, t] += nats
                    rows[owner, t] += 1
                count[owner] += length
        np.testing.assert_allclose(costs.codebooks[condition], expected / count[:, None], rtol=1e-5)
        np.testing.assert_allclose(costs.frames[condition], frames / rows / K, rtol=1e-5)
        np.testing.assert_allclose(costs.of(condition), (expected / count[:, None]).mean(1), 1e-5)


def test_what_lies_behind_the_end_of_a_sound_does_not_count(held_out, model):
    before = measure(*model, held_out, seed=1).codebooks[OWN]
    held_out.codes[1, :, 3:] = 7
    np.testing.assert_array_equal(measure(*model, held_out, seed=1).codebooks[OWN], before)


def test_knowing_nothing_costs_log_n_and_no_caption_helps(held_out, model):
    lm, text = model
    torch.nn.init.zeros_(lm.head.weight)
    costs = measure(lm, text, held_out, seed=1)
    for values in costs.codebooks.values():
        np.testing.assert_allclose(values, math.log(N), rtol=1e-6)


def test_captions_of_others_are_never_of_the_own_class(held_out):
    drawn = other_captions(held_out.clips, seed=3)
    assert [set(texts) for texts in drawn[:1] + drawn[2:]] == [{"Rain falls."}] * 2
    assert set(drawn[1]) <= {"A dog barks.", "A dog howls."}
    assert all(len(texts) == SHUFFLES for texts in drawn)
    assert drawn == other_captions(held_out.clips, seed=3)
    assert drawn[0] == other_captions([held_out.clips[0], held_out.clips[1]], seed=3)[0]


def test_without_classes_every_other_caption_will_do():
    clips = [Clip(id=str(i), caption=text, group="") for i, text in enumerate("aab")]
    assert [set(texts) for texts in other_captions(clips, seed=0)] == [{"b"}, {"b"}, {"a"}]
    with pytest.raises(ValueError, match="0: no clip of another class has another caption"):
        other_captions(clips[:2], seed=0)


def test_a_split_without_captions_is_an_error(tmp_path):
    write_tokens(tmp_path, [("a", None, "dog", "test", T)] * 2 + [("b", "x", "dog", "train", T)])
    with pytest.raises(TokenError, match='no clip of split "test" has a caption'):
        read_held_out(tmp_path, "test")

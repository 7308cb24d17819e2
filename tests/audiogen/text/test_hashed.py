import pytest
import torch

from audiogen.text.hashed import HashedEncoder, split_words, word_bucket


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return HashedEncoder(dim=8, num_buckets=1024, max_words=6)


def test_splits_words():
    assert split_words("A dog BARKS, twice!") == ["a", "dog", "barks", "twice"]
    assert split_words("  \n\t ") == []
    assert split_words("... !?") == []
    assert split_words("собака лает 犬") == ["собака", "лает", "犬"]
    assert split_words("rain 🌧🌧") == ["rain", "🌧", "🌧"]
    assert split_words("cafe\u0301") == split_words("CAFÉ") == ["café"]


def test_buckets_are_crc32_and_the_same_in_every_process():
    assert word_bucket("123456789", 2**32) == 0xCBF43926  # the check value of CRC-32
    assert word_bucket("dog", 4096) == 2429  # as any other program computes it


def test_masks_and_shapes(encoder):
    states, mask = encoder.encode(["A dog barks", "", None, "rain", "?!"])
    assert states.shape == (5, 3, 8)
    assert mask.sum(dim=1).tolist() == [3, 0, 0, 1, 0]
    assert (states[~mask] == 0).all()
    assert (states[mask].abs().sum(-1) > 0).all()


def test_there_is_always_a_position(encoder):
    states, mask = encoder.encode([None])
    assert states.shape == (1, 1, 8)
    assert not mask.any()


def test_a_caption_does_not_depend_on_its_batch(encoder):
    alone, _ = encoder.encode(["a dog"])
    batch, _ = encoder.encode(["rain on a roof", "a dog"])
    torch.testing.assert_close(batch[1, :2], alone[0])


def test_case_and_ascii_punctuation_do_not_matter_and_order_does(encoder):
    first, _ = encoder.encode(["dog, then rain"])
    same, _ = encoder.encode(["Dog. THEN rain!"])
    other, _ = encoder.encode(["rain then dog"])
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_words_behind_the_limit_are_not_read(encoder):
    long, mask = encoder.encode(["a b c d e f g h"])
    short, _ = encoder.encode(["a b c d e f"])
    assert mask.shape == (1, 6)
    assert torch.equal(long, short)


@pytest.mark.parametrize("caption", ["🐕‍🦺", "\ud800 dog", "\x00", "a" * 10_000, "ﬁre", "ไฟไหม้"])
def test_no_text_breaks_it(encoder, caption):
    states, _ = encoder.encode([caption, "dog"])
    assert states.isfinite().all()


def test_refuses_what_is_not_text(encoder):
    with pytest.raises(ValueError, match="caption 2 must be a string or None, got float"):
        encoder.encode(["dog", None, 0.5])
    with pytest.raises(ValueError, match="at least 1, got 0"):
        HashedEncoder(dim=0)


def test_learns_the_words_it_read(encoder):
    states, mask = encoder(["a dog", None])
    states[mask].square().sum().backward()
    learned = encoder.words.weight.grad.abs().sum(-1).nonzero().flatten().tolist()
    assert sorted(learned) == sorted(word_bucket(word, 1024) for word in ("a", "dog"))
    assert encoder.trainable
    assert {name for name, _ in encoder.named_parameters()} >= {"words.weight", "output.weight"}


def test_initial_widths():
    encoder = HashedEncoder(dim=64, word_std=0.5, position_std=0.1)
    assert encoder.words.weight.std().item() == pytest.approx(0.5, rel=0.02)
    assert encoder.positions.weight.std().item() == pytest.approx(0.1, rel=0.05)

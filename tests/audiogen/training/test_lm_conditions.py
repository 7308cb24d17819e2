"""What a step hides of its captions."""

import pytest
import torch

from audiogen.training.lm_conditions import ConditionDropout, other_captions

CAPTIONS = ["a dog barks", {"description": "rain on a roof", "sound_class": "rain"}, None, "wind"]

FIRST = {"rank": 0, "world_size": 1, "epoch": 0}


def make(**changes):
    keywords = {"condition": 0.5, "attributes": {}, "words": 0.0, "seed": 1}
    return ConditionDropout(**keywords | changes)


def drops(dropout, *, size=4, batches=200, rank=0, world_size=1, epoch=0):
    """Which items of each batch keep nothing."""
    hidden = []
    for batch in range(batches):
        place = {"rank": rank, "world_size": world_size, "epoch": epoch, "batch": batch}
        captions, keep = dropout(["rain"] * size, **place)
        hidden.append([c is None or not k for c, k in zip(captions, keep.tolist(), strict=True)])
    return torch.tensor(hidden)


def test_the_reference_drops_whole_batches_at_the_calls_it_was_seen_to_drop():
    """The first of 60 calls at p = 0.1, measured; the same on every process, again at a restart."""
    for rank in (0, 3):
        hidden = drops(
            make(condition=0.1, paper_exact=True, seed=rank), batches=60, rank=rank, world_size=4
        )
        assert torch.equal(hidden.any(dim=1), hidden.all(dim=1))
        assert hidden[:, 0].nonzero().flatten().tolist() == [0, 4, 6, 39, 41, 47]


def test_the_reference_encodes_what_is_hidden_as_no_caption():
    captions, keep = make(condition=1.0, paper_exact=True)(CAPTIONS, **FIRST, batch=0)
    assert captions == [None] * 4
    assert keep.all()  # the mask hides nothing: padding is attended to


def test_the_reference_hides_an_attribute_in_all_items_or_none():
    classes = [{"description": "rain", "sound_class": "rain"}] * 3
    dropout = make(condition=0.0, attributes={"sound_class": 0.5}, paper_exact=True)
    seen = set()
    for batch in range(20):
        captions, _ = dropout(classes, **FIRST, batch=batch)
        (left,) = {tuple(caption) for caption in captions}
        seen.add(left)
    assert seen == {("description",), ("description", "sound_class")}


def test_items_are_dropped_one_by_one_by_seed_rank_epoch_and_batch():
    first = drops(make())
    assert torch.equal(drops(make()), first)  # whatever ran before
    for other in (drops(make(seed=2)), drops(make(), rank=1, world_size=2), drops(make(), epoch=1)):
        assert not torch.equal(other, first)
    assert (first.any(dim=1) & ~first.all(dim=1)).any()
    assert first.double().mean().item() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("attributes", [{}, {"description": 0.5}])
def test_items_lose_the_same_however_they_are_dealt(attributes):
    """Item i goes to process i % n, as `EndlessSampler` deals."""
    dropout = make(attributes=attributes)
    whole = drops(dropout, size=6)
    for processes in (2, 3):
        dealt = [
            drops(dropout, size=6 // processes, rank=rank, world_size=processes)
            for rank in range(processes)
        ]
        assert torch.equal(torch.stack(dealt, dim=2).flatten(1), whole)


def test_a_step_does_not_depend_on_those_before_it():
    whole, alone = drops(make()), drops(make(), batches=1)
    assert torch.equal(whole[:1], alone)
    captions, keep = make(words=0.5)(CAPTIONS, **FIRST, batch=7)
    again = make(words=0.5)
    drops(again)
    assert again(CAPTIONS, **FIRST, batch=7)[0] == captions
    assert torch.equal(again(CAPTIONS, **FIRST, batch=7)[1], keep)


def test_words_and_attributes_are_dropped_by_their_own_draws():
    """A third dropout changes nothing of what the other two hide."""
    place = FIRST | {"batch": 3}
    words, keep = make(words=0.5)(CAPTIONS, **place)
    both, keep_again = make(words=0.5, attributes={"sound_class": 1.0})(CAPTIONS, **place)
    assert torch.equal(keep, keep_again)
    assert both[0] == words[0]
    assert words[1]["sound_class"] == "rain"
    assert "sound_class" not in both[1]
    assert both[1]["description"] == words[1]["description"]
    assert make(condition=0.0)(CAPTIONS, **place)[0] == CAPTIONS


@pytest.mark.parametrize(
    "wrong", [{"condition": 1.1}, {"words": -0.1}, {"attributes": {"description": 2}}]
)
def test_chances_are_chances(wrong):
    with pytest.raises(ValueError, match=r"chance in \[0, 1\]"):
        make(**wrong)


def test_other_captions_are_those_of_other_items():
    assert other_captions(["a", "b", None]) == [None, "a", "b"]
    assert other_captions(["a", "a", "a", "b"]).count("b") == 1
    assert other_captions(["a", "a", "b", "b"]) == ["b", "b", "a", "a"]
    assert other_captions(["a", "a"]) == ["a", "a"]
    assert other_captions(["a"]) == ["a"]

"""Captions joined with what is asked of them, grouped, and run in what memory has room for."""

import random
import weakref
from itertools import islice

import pytest

from audiogen.generation.batches import Fitting, Item, in_batches, read_items


class Made:
    """Something that can be watched."""


def read(captions, durations=0.5, seeds=None, *, per_item=False):
    return read_items(captions, durations, seeds, per_item=per_item, count=lambda s: round(s * 10))


def item(index, num_frames, length=1, duration=None):
    caption = "x" * length
    seconds = num_frames / 10 if duration is None else duration
    return Item(index=index, caption=caption, duration=seconds, num_frames=num_frames, seed=None)


@pytest.mark.parametrize("trial", range(20))
def test_batches_hold_every_item_once_and_one_length_each(trial):
    rng = random.Random(trial)
    items = [item(i, rng.choice([1, 2, 5]), rng.randrange(9)) for i in range(rng.randrange(60))]
    size, ahead = rng.randrange(1, 9), rng.choice([1, 7, 100])
    batches = list(in_batches(items, size=size, ahead=ahead))
    assert sorted(one.index for batch in batches for one in batch) == list(range(len(items)))
    assert all(len(batch) <= size for batch in batches)
    assert all(len({one.num_frames for one in batch}) == 1 for batch in batches)
    for batch in batches:
        assert [one.length for one in batch] == sorted((o.length for o in batch), reverse=True)
    if ahead > len(items):
        firsts = [batch[0].num_frames for batch in batches]
        assert firsts == sorted(firsts, reverse=True)
        assert len(batches) == sum(
            -(-sum(one.num_frames == frames for one in items) // size) for frames in (1, 2, 5)
        )


def test_items_wait_for_others_of_their_length():
    items = [item(i, 1 + i % 3) for i in range(30)]
    batches = list(in_batches(iter(items), size=10, ahead=11))
    assert all(len(batch) > 3 for batch in batches[:-2])


def test_endless_captions():
    endless = (item(i, 1 + i % 2) for i in iter(int, 1))
    assert [len(batch) for batch in islice(in_batches(endless, size=4, ahead=10), 50)] == [4] * 50


def test_the_order_given_can_be_kept():
    items = [item(0, 1), item(1, 1, 5), item(2, 2), item(3, 1)]
    kept = in_batches(items, size=2, keep_order=True)
    assert [[one.index for one in batch] for batch in kept] == [[0, 1], [2], [3]]


def test_sounds_of_as_many_frames_can_be_parted_by_duration():
    items = [item(0, 1, duration=0.1), item(1, 1, duration=0.11), item(2, 1, duration=0.1)]
    assert [len(batch) for batch in in_batches(items, size=4)] == [3]
    parted = in_batches(items, size=4, by_seconds=True)
    assert [[one.index for one in batch] for batch in parted] == [[1], [0, 2]]


def test_items_are_read_one_by_one():
    pairs = iter([(1, 0), (1, 1)])
    first, second = read(iter(["a", None]), iter([0.5, 0.7]), pairs, per_item=True)
    assert (first.num_frames, first.seed, first.length) == (5, (1, 0), 1)
    assert (second.num_frames, second.seed, second.length) == (7, (1, 1), 0)
    endless = ((1, index) for index in iter(int, 1))
    assert len(list(read(["a", "b"], 0.5, endless))) == 2


def test_a_hundred_thousand_items_are_never_held_together():
    alive = set()

    def make(part, rows):
        results = [Made() for _ in part]
        for result in results:
            alive.add(weakref.ref(result, alive.discard))
        return results

    fitting = Fitting(100, per_item=1, whole=False, need=None, release=None)
    items = read(("rain" if i % 3 else "a dog" for i in range(100_000)), 0.5)
    count = most = 0
    for batch in in_batches(items, size=100):
        for _ in fitting.run(batch, make):
            count += 1
            most = max(most, len(alive))
    assert count == 100_000
    assert most <= 201

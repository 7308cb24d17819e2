"""Positions come back exactly, through torchdata's loader as training uses it."""

import copy

import pytest
import torch
from torchdata.stateful_dataloader import StatefulDataLoader

from audiogen.data.sampler import EpochSampler, nth_of_pass


class Numbers(torch.utils.data.Dataset):
    def __len__(self):
        return 11

    def __getitem__(self, index):
        return index


def make_loader(num_workers, drop_last=False, persistent=False):
    sampler = EpochSampler(11, seed=3, shuffle=True)
    return StatefulDataLoader(
        Numbers(),
        batch_size=4,
        sampler=sampler,
        num_workers=num_workers,
        drop_last=drop_last,
        persistent_workers=persistent,
    )


def run(loader, epochs):
    """Batches of some epochs, and the loader's state after each."""
    batches, states = [], []
    for _ in range(epochs):
        for batch in loader:
            batches.append(batch.tolist())
            states.append(copy.deepcopy(loader.state_dict()))
    return batches, states


def test_epochs_go_on_counting():
    sampler = EpochSampler(5, seed=0, shuffle=True)
    epochs = [list(sampler) for _ in range(3)]
    assert [sorted(epoch) for epoch in epochs] == [
        [0, 1, 2, 3, 4],
        [5, 6, 7, 8, 9],
        [10, 11, 12, 13, 14],
    ]
    orders = {tuple(number % 5 for number in epoch) for epoch in epochs}
    assert len(orders) == 3
    assert list(EpochSampler(5, seed=0, shuffle=True)) == epochs[0]
    assert list(EpochSampler(5, seed=1, shuffle=True)) != epochs[0]


def test_without_shuffling():
    sampler = EpochSampler(3, seed=0, shuffle=False)
    assert [*sampler, *sampler] == [0, 1, 2, 3, 4, 5]


def test_processes_share_the_batches_of_one():
    """Batch by batch the same items as a single process, whatever their number."""
    alone = list(EpochSampler(12, seed=5, shuffle=True))
    shares = [
        list(EpochSampler(12, seed=5, shuffle=True, rank=rank, world_size=3)) for rank in range(3)
    ]
    for batch in range(2):
        together = [n for share in shares for n in share[2 * batch : 2 * batch + 2]]
        assert sorted(together) == sorted(alone[6 * batch : 6 * batch + 6])
    assert len(EpochSampler(11, seed=5, shuffle=True, rank=0, world_size=3)) == 3


def test_position_of_one_process_serves_another_number():
    single = EpochSampler(12, seed=5, shuffle=True)
    numbers = iter(single)
    seen = [next(numbers) for _ in range(6)]
    rest = []
    for rank in range(2):
        sampler = EpochSampler(12, seed=5, shuffle=True, rank=rank, world_size=2)
        sampler.load_state_dict(single.state_dict())
        rest += list(sampler)
    assert sorted(seen + rest) == list(range(12))


@pytest.mark.parametrize(("num_workers", "persistent"), [(0, False), (1, False), (1, True)])
def test_resumes_at_any_batch(num_workers, persistent):
    reference, states = run(make_loader(0), epochs=3)
    if num_workers:
        reference, states = run(make_loader(num_workers, persistent=persistent), epochs=3)
    for position in [0, 1, 2, 4, 7]:
        loader = make_loader(num_workers, persistent=persistent)
        loader.load_state_dict(states[position])
        resumed, _ = run(loader, epochs=4)
        rest = reference[position + 1 :]
        assert resumed[: len(rest)] == rest


@pytest.mark.parametrize("num_workers", [0, 1])
def test_workers_do_not_change_the_order(num_workers):
    assert run(make_loader(num_workers), epochs=2)[0] == run(make_loader(0), epochs=2)[0]


@pytest.mark.parametrize("num_workers", [0, 1])
def test_resumes_between_epochs(num_workers):
    loader = make_loader(num_workers, drop_last=True)
    first, _ = run(loader, epochs=1)
    state = loader.state_dict()
    second, _ = run(loader, epochs=1)
    again = make_loader(num_workers, drop_last=True)
    again.load_state_dict(state)
    assert run(again, epochs=1)[0] == second != first


def test_an_epoch_broken_off_is_over():
    sampler = EpochSampler(4, seed=0, shuffle=False)
    next(iter(sampler))
    assert list(sampler) == [4, 5, 6, 7]


def test_set_epoch_rules_the_next_start_only():
    """Lightning calls it before every epoch, and also when a resumed one has already begun."""
    sampler = EpochSampler(4, seed=0, shuffle=False)
    sampler.set_epoch(3)
    numbers = iter(sampler)
    assert next(numbers) == 12
    sampler.set_epoch(3)
    assert list(numbers) == [13, 14, 15]
    sampler.set_epoch(4)
    assert list(sampler) == [16, 17, 18, 19]


@pytest.mark.parametrize("change", [{"num_samples": 6}, {"seed": 1}, {"shuffle": False}])
def test_refuses_the_position_of_another_order(change):
    settings = {"num_samples": 5, "seed": 0, "shuffle": True}
    state = EpochSampler(**settings).state_dict()
    with pytest.raises(ValueError, match=f"saved position has {next(iter(change))}="):
        EpochSampler(**settings | change).load_state_dict(state)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rank": 2, "world_size": 2}, "rank must be in"),
        ({"world_size": 9}, "cannot be shared by 9"),
    ],
)
def test_refuses_shares_that_are_none(arguments, message):
    with pytest.raises(ValueError, match=message):
        EpochSampler(5, seed=0, shuffle=True, **arguments)


def test_every_pass_shows_everything_once():
    passes = [[nth_of_pass(i, count=7, seed=2) for i in range(7 * p, 7 * p + 7)] for p in range(3)]
    assert all(sorted(order) == list(range(7)) for order in passes)
    assert passes[0] != passes[1] != passes[2]
    assert nth_of_pass(9, count=7, seed=2) == passes[1][2]

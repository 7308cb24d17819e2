"""Orders: every pass shows everything, and ranks share one stream."""

from itertools import chain, islice

from audiogen.data.sampler import EndlessSampler, nth_of_pass


def test_ranks_share_the_stream_of_one():
    streams = [list(islice(EndlessSampler(rank=r, world_size=3), 5)) for r in range(3)]
    assert sorted(chain(*streams)) == list(range(15))
    assert [stream[0] for stream in streams] == [0, 1, 2]


def test_the_position_of_one_rank_restores_another():
    first = iter(EndlessSampler(rank=0, world_size=2))
    taken = [next(first) for _ in range(3)]
    second = iter(EndlessSampler(rank=1, world_size=2))
    second.load_state_dict(first.state_dict())
    assert taken == [0, 2, 4]
    assert next(second) == 7


def test_another_number_of_ranks_goes_on_behind_what_was_dealt():
    alone = iter(EndlessSampler())
    assert [next(alone) for _ in range(5)] == [0, 1, 2, 3, 4]
    ranks = [iter(EndlessSampler(rank=r, world_size=3)) for r in range(3)]
    for numbers in ranks:
        numbers.load_state_dict(alone.state_dict())
    assert [next(numbers) for numbers in ranks] == [5, 6, 7]
    alone.load_state_dict(ranks[2].state_dict())
    assert next(alone) == 8
    ranks[1].load_state_dict({"drawn": 4})  # as it was saved before, by one of three
    assert next(ranks[1]) == 13


def test_every_pass_shows_everything_once():
    passes = [[nth_of_pass(i, count=7, seed=2) for i in range(7 * p, 7 * p + 7)] for p in range(3)]
    assert all(sorted(order) == list(range(7)) for order in passes)
    assert passes[0] != passes[1] != passes[2]
    assert nth_of_pass(9, count=7, seed=2) == passes[1][2]

import pytest
import torch

from audiogen.lm.guidance import drop_conditions, guide


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_guide_closed_forms():
    conditional, unconditional = torch.tensor([1.0, 5.0]), torch.tensor([3.0, -1.0])
    torch.testing.assert_close(guide(conditional, unconditional, scale=1), conditional)
    torch.testing.assert_close(guide(conditional, unconditional, scale=0), unconditional)
    expected = torch.tensor([-3.0, 17.0])
    torch.testing.assert_close(guide(conditional, unconditional, scale=3), expected)


def test_whole_captions_are_dropped_at_the_given_rate():
    mask = torch.rand(5000, 4, generator=generator(1)) < 0.7
    mask[:, 0] = True
    dropped = drop_conditions(mask, probability=0.1, generator=generator())
    kept = dropped.any(dim=1)
    assert torch.equal(dropped[kept], mask[kept])
    share = 1 - kept.float().mean().item()
    assert abs(share - 0.1) < 4 * (0.1 * 0.9 / 5000) ** 0.5


def test_draws_come_from_the_generator_alone():
    mask = torch.ones(64, 2, dtype=torch.bool)
    torch.manual_seed(0)
    first = drop_conditions(mask, probability=0.5, generator=generator(3))
    torch.manual_seed(1)
    state = torch.get_rng_state()
    second = drop_conditions(mask, probability=0.5, generator=generator(3))
    assert torch.equal(first, second)
    assert torch.equal(state, torch.get_rng_state())
    assert not torch.equal(first, drop_conditions(mask, probability=0.5, generator=generator(4)))


def test_certainties():
    mask = torch.ones(100, 2, dtype=torch.bool)
    assert drop_conditions(mask, probability=0.0, generator=generator()).all()
    assert not drop_conditions(mask, probability=1.0, generator=generator()).any()
    with pytest.raises(ValueError, match=r"chance in \[0, 1\], got 1.5"):
        drop_conditions(mask, probability=1.5, generator=generator())

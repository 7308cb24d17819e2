import random
from contextlib import suppress

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch import nn
from torch.utils.data import DataLoader

from audiogen.training.callbacks import RandomStreams, WeightAverage


class Toy(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(3))
        self.register_buffer("statistic", torch.zeros(2))
        self.register_buffer("count", torch.zeros(1, dtype=torch.int64))

    def fill(self, value):
        with torch.no_grad():
            for tensor in (self.weight, self.statistic, self.count):
                tensor.fill_(value)


def test_unbiased_average():
    """Values 1, 2, 3 at decay 0.99 give 1, 1.5025, 2.0067, as measured on the reference."""
    toy, average = Toy(), WeightAverage(decay=0.99)
    seen = []
    for value in (1, 2, 3):
        toy.fill(value)
        average.update(toy)
        seen.append(average.average["weight"][0].item())
    assert seen == pytest.approx([1.0, 1.5025, 2.0067], abs=5e-5)
    assert average.average["statistic"][0].item() == seen[-1]  # buffers, too
    assert "count" not in average.average  # whole numbers are not averaged


def test_applied_swaps_and_gives_back_even_after_an_error():
    toy, average = Toy(), WeightAverage(decay=0.5)
    for value in (1.0, 4.0):
        toy.fill(value)
        average.update(toy)
    mean = average.average["weight"].clone()
    assert not torch.equal(mean, toy.weight)
    inside = []
    with suppress(RuntimeError), average.applied(toy):
        inside.append(toy.weight.detach().clone())
        raise RuntimeError
    assert torch.equal(inside[0], mean)
    assert toy.weight.tolist() == [4.0] * 3
    assert torch.equal(average.average["weight"], mean)


def test_before_the_first_update_the_weights_are_their_own_average():
    toy, average = Toy(), WeightAverage(decay=0.5)
    toy.fill(2)
    with average.applied(toy):
        assert toy.weight.tolist() == [2.0] * 3


def test_saved_average_goes_on_as_the_unbroken_one(tmp_path):
    toy, average = Toy(), WeightAverage(decay=0.9)
    for value in (1, 5):
        toy.fill(value)
        average.update(toy)
    torch.save(average.state_dict(), tmp_path / "average")
    again = WeightAverage(decay=0.9)
    again.load_state_dict(torch.load(tmp_path / "average", weights_only=True))
    toy.fill(7)
    average.update(toy)
    again.update(toy)
    for name, value in average.average.items():
        assert torch.equal(value, again.average[name])


class Stopping(LightningModule):
    """Validation that ends in the middle."""

    def __init__(self, error):
        super().__init__()
        self.averaged = Toy()
        self.error = error
        self.automatic_optimization = False
        self.seen = None

    def train_dataloader(self):
        return DataLoader(torch.zeros(3))

    val_dataloader = train_dataloader

    def training_step(self, batch, index):
        self.optimizers().step()
        self.averaged.fill(index + 1.0)

    def validation_step(self, batch, index):
        self.seen = self.averaged.weight.tolist()
        raise self.error

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.0)


@pytest.mark.parametrize("error", [RuntimeError("out of memory"), KeyboardInterrupt()])
def test_an_error_in_validation_gives_the_raw_weights_back(tmp_path, error):
    module, average = Stopping(error), WeightAverage(decay=0.5)
    trainer = Trainer(
        **dict.fromkeys(["logger", "enable_checkpointing", "enable_progress_bar"], False),
        **{"enable_model_summary": False, "accelerator": "cpu", "num_sanity_val_steps": 0},
        callbacks=[average],
        max_steps=3,
        default_root_dir=tmp_path,
    )
    with pytest.raises((RuntimeError, SystemExit), match=r"^(out of memory|1)$"):
        trainer.fit(module)
    mean = average.average["weight"].tolist()
    assert module.seen == mean != [3.0] * 3
    assert module.averaged.weight.tolist() == [3.0] * 3
    assert module.averaged.statistic.tolist() == [3.0] * 2


def test_a_swap_that_ends_half_way_is_undone(monkeypatch):
    """Where the device has no memory left for the second weight."""
    toy, average = Toy(), WeightAverage(decay=0.5)
    for value in (1.0, 4.0):
        toy.fill(value)
        average.update(toy)
    mean = average.average["weight"].clone()
    clone, calls = torch.Tensor.clone, []

    def scarce(tensor):
        calls.append(tensor)
        if len(calls) == 2:
            raise torch.OutOfMemoryError
        return clone(tensor)

    monkeypatch.setattr(torch.Tensor, "clone", scarce)
    with pytest.raises(torch.OutOfMemoryError):
        average.on_validation_start(None, toy)
    assert torch.equal(toy.weight, mean)
    average.on_exception(None, toy, torch.OutOfMemoryError())
    assert toy.weight.tolist() == [4.0] * 3
    assert torch.equal(average.average["weight"], mean)


def test_impossible_decay_is_refused():
    with pytest.raises(ValueError, match=r"got decay 1\.0"):
        WeightAverage(decay=1.0)


class OneRank:
    world_size, global_rank, global_step = 1, 0, 5


class ManyRanks(OneRank):
    world_size = 2

    def __init__(self, rank):
        self.global_rank = rank


def draws():
    return random.random(), np.random.rand(), torch.rand(()).item()  # noqa: NPY002


def test_random_streams_continue_where_they_were_saved(tmp_path):
    torch.save(RandomStreams(seed=1).state_dict(), tmp_path / "streams")
    expected = draws()
    again = RandomStreams(seed=1)
    again.load_state_dict(torch.load(tmp_path / "streams", weights_only=True))
    draws()  # what a loader or a set-up would take before training starts
    again.on_train_batch_start(OneRank, None, None, 0)
    assert draws() == expected
    again.on_train_batch_start(OneRank, None, None, 1)
    assert draws() != expected  # set once only


def test_ranks_draw_differently_and_reproducibly():
    streams = RandomStreams(seed=1)
    seen = []
    for rank in (0, 1, 0):
        streams.on_train_batch_start(ManyRanks(rank), None, None, 0)
        seen.append(torch.rand(()).item())
    assert seen[0] == seen[2] != seen[1]

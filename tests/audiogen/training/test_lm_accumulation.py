"""An update is that of its batch, however the batch is cut and dealt."""

from functools import partial

import pytest
import torch

from audiogen.data.tokens import collate_tokens
from audiogen.training.callbacks import WeightAverage
from audiogen.training.data import DataModule
from audiogen.training.random_data import RandomTokens

from .conftest import LM, Starter, history
from .test_lm_batches import rows_of
from .test_lm_module import SIZES, fit, make_module

SLOW = partial(torch.optim.SGD, lr=0.1)  # AdamW makes steps of rounding


def uneven(batch_size=8):
    """Items of 1 to 6 frames, so that parts and processes have different numbers of targets."""
    make = partial(RandomTokens, **SIZES, num_frames=6, shortest=1)
    train, valid = partial(make, num_items=64, seed=1), partial(make, num_items=8, seed=2)
    return DataModule(train=train, valid=valid, batch_size=batch_size, collate=collate_tokens)


def trained(folder, *, accumulate=1, data=None, precision="32-true", **changes):
    keywords = {"condition_dropout": 0.4, "word_dropout": 0.3, "optimizer": SLOW}
    module = make_module(accumulate=accumulate, **keywords | changes)
    average = WeightAverage(decay=0.5)
    trainer = fit(
        module, folder, steps=4, data=data or uneven(), callbacks=[average], precision=precision
    )
    return rows_of(trainer), module.state_dict()


@pytest.mark.parametrize("complete", [True, False])
def test_parts_give_the_update_of_the_whole_batch(tmp_path, complete):
    """Dropouts, losses, norms and weights; items have 1 to 6 frames."""
    rows, state = trained(tmp_path / "1", complete=complete)
    for parts in (2, 8):
        again, other = trained(tmp_path / str(parts), accumulate=parts, complete=complete)
        for row, found in zip(rows, again, strict=True):
            assert row.keys() == found.keys()
            for name in row:
                assert float(found[name]) == pytest.approx(float(row[name]), rel=1e-5), name
        for name, value in state.items():
            torch.testing.assert_close(other[name], value, rtol=1e-4, atol=1e-6, msg=name)


def test_validation_is_the_mean_over_targets_however_it_is_cut(tmp_path):
    """Per codebook, over all items; perplexities are exponentials of the means."""
    rows = []
    for size in (1, 3, 8):
        data = uneven()
        data.valid_batch_size = size
        module = make_module(optimizer=SLOW)
        rows.append(rows_of(fit(module, tmp_path / str(size), steps=1, data=data))[-1])
    names = [name for name in rows[0] if name.startswith("val/") and "shuffled" not in name]
    assert len(names) == 2 * (2 + 2 * 2)  # loss and perplexity, of all and of two codebooks
    for name in names:
        values = [float(row[name]) for row in rows]
        assert values[1:] == pytest.approx([values[0]] * 2, rel=1e-5), name
    assert "val/loss_shuffled_captions_codebook_1" in rows[1]
    assert "val/loss_shuffled_captions" not in rows[0]  # a batch of one has no other captions


def test_autocast_does_not_reach_into_the_backward_pass_of_parts(tmp_path):
    rows = {}
    for parts in (1, 4):
        rows[parts], _ = trained(tmp_path / str(parts), accumulate=parts, precision="bf16-mixed")
    for row, found in zip(rows[1], rows[4], strict=True):
        assert float(found["train/loss"]) == pytest.approx(float(row["train/loss"]), rel=5e-3)


def test_a_batch_that_cannot_be_cut_is_refused(tmp_path):
    with pytest.raises(ValueError, match="a batch of 8 cannot be cut into 3 equal parts"):
        fit(make_module(accumulate=3), tmp_path)
    with pytest.raises(ValueError, match="accumulate must be at least 1"):
        make_module(accumulate=0)


def test_two_processes_train_as_one(scripts: Starter, tmp_path):
    """Items of different lengths, in parts: the update is that of the global batch of 8."""
    common = [
        *LM,
        "+data.train.shortest=1",
        "+data.valid.shortest=1",
        "codec.codebook_size=16",
        "module.condition_dropout=0.4",
        "lm.dropout=0",
        "optim._target_=torch.optim.SGD",
        "optim.lr=0.1",
        "~optim.betas",
        "~optim.eps",
        "optim.weight_decay=0",
        "~optim.fused",
        "average.every=2",
        "trainer.max_steps=4",
        "trainer.val_check_interval=2",
        "trainer.limit_val_batches=1.0",
        "data.valid_batch_size=2",
    ]
    rows = {}
    for name, words in {
        "one": ["data.batch_size=8"],
        "two": [
            "data.batch_size=4",
            "module.accumulate=2",
            "trainer.devices=2",
            "trainer.strategy=ddp_fork",
        ],
    }.items():
        runs = tmp_path / name
        started = scripts.start("train_lm.py", *common, *words, f"paths.runs={runs}")
        assert started.wait(seconds=120) == 0, scripts.log.read_text()
        rows[name] = history(runs)
    assert len(rows["one"]) == 4
    assert "an update is of 8 items: 4 on each of 2 processes" in scripts.log.read_text()
    for one, two in zip(rows["one"], rows["two"], strict=True):
        for name in one:
            if one[name] and "shuffled" not in name:  # whose captions depend on the dealing
                assert float(two[name]) == pytest.approx(float(one[name]), rel=1e-5), name

"""With `lm.paper_exact`, a language model is trained as the reference does; by default, rightly."""

from functools import partial

import pytest
import torch

from audiogen.data.tokens import TokenError
from audiogen.training.callbacks import WeightAverage
from audiogen.training.lm_module import REFERENCE_EPOCH

from .test_lm_batches import data_of, make, rows_of, sounds
from .test_lm_module import fit

__all__ = ["sounds"]  # a fixture
EXACT = {"paper_exact": True}


def seen_losses(module):
    """Record what every call of the loss gets, in training."""
    calls = []
    original = module.lm.losses

    def losses(codes, states, mask=None, **keywords):
        if module.training:
            calls.append({"codes": codes, "states": states, "mask": mask, **keywords})
        return original(codes, states, mask, **keywords)

    module.lm.losses = losses
    return calls


def test_what_the_loss_is_taken_of(sounds, tmp_path):
    """Padding of texts, silence behind short sounds, last frames of delayed codebooks."""
    calls = {}
    for exact in (True, False):
        module = make(sounds, lm={"paper_exact": exact}, condition_dropout=0.0)
        calls[exact] = seen_losses(module)
        fit(module, tmp_path / str(exact), steps=1, data=data_of(sounds, "sounds"))
    (right,), (theirs,) = calls[False], calls[True]
    assert theirs["mask"] is None  # attended to everywhere
    assert not right["mask"].all()
    assert right["complete"]
    assert not theirs["complete"]
    assert theirs["code_mask"].all()
    assert right["code_mask"].sum(dim=-1)[:, 0].tolist().count(50) == 2  # the third is short
    hidden = ~right["code_mask"]
    assert (theirs["codes"][hidden] != 0).any()  # the codec's own codes of silence
    assert torch.equal(theirs["codes"][~hidden], right["codes"][~hidden])


def test_captions_are_dropped_for_whole_batches_by_the_generator_of_the_reference(sounds, tmp_path):
    """The first of all calls, as `test_lm_conditions` has them; p = 0.2 drops more than 0.1."""
    generator = torch.Generator().manual_seed(1234)
    expected = [torch.rand(1, generator=generator).item() < 0.2 for _ in range(12)]
    module = make(sounds, lm=EXACT)
    calls = seen_losses(module)
    fit(module, tmp_path, steps=12, data=data_of(sounds, "sounds"))
    dropped = [call["states"].shape[1] == 1 and not call["states"].any() for call in calls]
    assert dropped == expected
    assert 0 < sum(dropped) < 12


def test_a_restart_begins_with_the_first_drop_again(sounds, tmp_path):
    """The reference saves no state of it; ours is a function of the batch."""
    kept = {}
    for exact in (True, False):
        module = make(sounds, lm={"paper_exact": exact}, condition_dropout=0.5)
        again = make(sounds, lm={"paper_exact": exact}, condition_dropout=0.5)
        place = {"rank": 0, "world_size": 1, "epoch": 0}
        whole = [module.dropout(["a"] * 4, batch=b, **place) for b in range(8)]
        second = [again.dropout(["a"] * 4, batch=b, **place) for b in range(4, 8)]
        drops = [[(c, k.tolist()) for c, k in part] for part in (whole, second)]
        kept[exact] = drops[1] == drops[0][:4], drops[1] == drops[0][4:]
    assert kept == {True: (True, False), False: (False, True)}


def test_weights_are_averaged_by_the_count_within_an_epoch(sounds, tmp_path, monkeypatch):
    """Of 3 updates here, every second one: 2, 5, 8; by the count of the run 2, 4, 6, 8."""
    monkeypatch.setattr("audiogen.training.lm_module.REFERENCE_EPOCH", 3)

    class Watched(WeightAverage):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            before = self.count
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
            if self.count != before:
                averaged[pl_module.paper_exact].append(pl_module.updates)

    averaged = {True: [], False: []}
    for exact in averaged:
        module, average = make(sounds, lm={"paper_exact": exact}), Watched(decay=0.5, every=2)
        data = data_of(sounds, "sounds")
        fit(module, tmp_path / str(exact), steps=8, data=data, callbacks=[average])
    assert averaged == {True: [2, 5, 8], False: [2, 4, 6, 8]}
    assert REFERENCE_EPOCH == 2000


def test_codes_of_short_sounds_cannot_be_trained_on_as_published(sounds, tmp_path):
    with pytest.raises(TokenError, match="trains on the silence behind a short sound"):
        fit(make(sounds, lm=EXACT), tmp_path, data=data_of(sounds, "codes"))


def test_single_parts_can_be_chosen(sounds):
    assert make(sounds, lm=EXACT, complete=True).complete
    assert not make(sounds, complete=False).complete
    with pytest.raises(ValueError, match=r"1 with lm\.paper_exact, which takes batches whole"):
        make(sounds, lm=EXACT, accumulate=3)


def test_both_ways_learn(sounds, tmp_path):
    for exact in (True, False):
        module = make(
            sounds, lm={"paper_exact": exact}, optimizer=partial(torch.optim.AdamW, lr=0.02)
        )
        rows = rows_of(fit(module, tmp_path / str(exact), steps=25, data=data_of(sounds, "sounds")))
        assert float(rows[-1]["train/loss"]) < 0.7 * float(rows[0]["train/loss"])

"""Captured steps are used again by the next call, never by two at once, and change no code."""

import pytest
import torch

from audiogen.generation import shelf as shelves
from audiogen.generation.shelf import Shelf
from audiogen.lm.graphs import Graphs


@pytest.fixture
def captures(monkeypatch):
    """Graphs as on a GPU, of which the capture does the same steps again: as on any device."""
    made = []

    def choose(graphs, lm, device):
        made.append(Graphs(capture=lambda action: action, strict=True))
        return made[-1]

    monkeypatch.setattr(shelves, "choose_graphs", choose)
    return made


def test_one_call_after_the_other_captures_once(model, captures):
    calls = [{"duration": d, "seed": s} for d, s in ((0.13, 1), (0.05, 2), (0.13, 1))]
    found = [model.generate_codes(["rain", "a dog"], **call) for call in calls]
    assert len(captures) == 1
    assert torch.equal(found[0], found[2])


def test_codes_are_those_without(model, captures, monkeypatch):
    call = {"duration": 0.13, "seed": 1}
    graphed = model.generate_codes(["rain", None], **call)
    assert len(captures) == 1
    monkeypatch.setattr(model, "_shelf", Shelf(most_rows=None))
    monkeypatch.setattr(shelves, "choose_graphs", lambda *_: None)
    assert torch.equal(model.generate_codes(["rain", None], **call), graphed)


def test_calls_inside_one_another_have_their_own(model, captures):
    call = {"duration": 0.01, "seed": 1}
    alone = model.generate_codes(["rain"], **call)
    inner = []
    outer = model.generate_codes(
        ["rain"],
        progress=lambda done, total: inner.append(model.generate_codes(["wind"], **call)),
        **call,
    )
    assert torch.equal(outer, alone)
    assert all(torch.equal(codes, inner[0]) for codes in inner)
    assert len(captures) == 2


def test_large_calls_and_failed_ones_leave_nothing(model, captures):
    lend = {"lm": model.lm, "device": model.device}
    shelf = Shelf(most_rows=4)
    with shelf.lent(**lend, rows=5):
        pass
    with shelf.lent(**lend, rows=4) as kept:
        pass
    with pytest.raises(RuntimeError), shelf.lent(**lend, rows=1) as again:
        raise RuntimeError
    assert again is kept
    with shelf.lent(**lend, rows=1) as fresh:
        pass
    assert fresh is not kept
    assert len(captures) == 3


def test_batches_of_many_items_capture_once_for_each_size(model, captures):
    made = model.generate_each(["a", "b", "c d", "e"], durations=0.01, seed=1, batch_size=2)
    assert len(list(made)) == 4
    assert len(captures) == 1


@pytest.mark.gpu
def test_generation_on_a_gpu_is_the_same_in_any_batch_and_again(make_model):
    model = make_model()
    on_gpu = type(model)(
        text=model.text.cuda(), lm=model.lm.cuda(), codec=model.codec.cuda(), max_duration=0.1
    )
    captions = ["rain", "a dog barks", None]
    call = {"durations": 0.13, "seed": 1}
    expected = {one.index: one.codes for one in on_gpu.generate_each(captions, **call)}
    for size in (1, 2):
        for one in on_gpu.generate_each(captions, batch_size=size, **call):
            assert torch.equal(one.codes, expected[one.index])
    again = on_gpu.generate_codes(captions, duration=0.13, seed=1)
    assert torch.equal(again[1].cpu(), expected[1])

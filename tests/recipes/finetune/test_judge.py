import json

import numpy as np
import pytest

from recipes.audiogen_cpu.held_out import NONE, OWN, SHUFFLED, Clip, Costs, HeldOut
from recipes.finetune.judge import compare, has_others


def costs(level: float, *, worth: float, seed: int = 0, shuffled: bool = True) -> Costs:
    """Ten clips that cost about ``level`` with their caption, and ``worth`` more without."""
    clips = [Clip(id=f"c{i}", caption=f"caption {i % 3}", group="") for i in range(10)]
    own = np.random.default_rng(seed).normal(level, 0.1, size=(10, 2))
    books = {OWN: own, NONE: own + worth} | ({SHUFFLED: own + 2 * worth} if shuffled else {})
    return Costs(clips=clips, codebooks=books, frames={})


def test_gains_are_before_less_after():
    found = compare(costs(4.0, worth=0.0), costs(3.5, worth=0.1))
    tuned = found["tuned"][OWN]
    assert tuned["nats"] == pytest.approx(0.5)
    assert tuned["better"] == 10
    assert found["tuned"][NONE]["nats"] == pytest.approx(0.4)
    assert found["captions"]["before"][NONE]["nats"] == pytest.approx(0.0)
    assert found["captions"]["after"][SHUFFLED]["nats"] == pytest.approx(0.2)
    assert [book["nats"] for book in found["codebooks"]] == pytest.approx([0.5, 0.5])
    json.dumps(found, allow_nan=False)


def test_pairing_narrows_the_interval():
    """Clips differ by more than the gain, which is nearly the same for each."""
    before, after = costs(4.0, worth=0.1), costs(3.98, worth=0.1)
    books = dict(after.codebooks)
    books[OWN] = books[OWN] + np.random.default_rng(5).normal(0, 0.002, size=(10, 2))
    found = compare(before, Costs(clips=after.clips, codebooks=books, frames={}))
    assert 0 < found["tuned"][OWN]["low"] < 0.02 < found["tuned"][OWN]["high"] < 0.03


def test_one_caption_for_all_has_no_others():
    clips = [Clip(id=str(i), caption="sea waves", group="") for i in range(3)]
    held_out = HeldOut(
        clips=clips, owners=np.arange(3), codes=None, mask=None, sources=[], licences=[]
    )
    assert not has_others(held_out)
    found = compare(costs(4, worth=0.1, shuffled=False), costs(3, worth=0.1, shuffled=False))
    assert SHUFFLED not in found["captions"]["after"]

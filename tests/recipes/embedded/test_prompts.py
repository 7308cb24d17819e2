"""Prompts of people's own: what they mean, and that the judge counts right."""

import json

import torch

from audiogen.data.synthetic import FAMILIES
from audiogen.data.synthetic_phrases import vocabulary
from audiogen.text.hashed import split_words
from recipes.demo.probe import LabelSet
from recipes.embedded.prompts import PROMPTS, SEEDS, judge

ROWS = [json.loads(line) for line in PROMPTS.read_text("utf-8").splitlines()]


class Echo:
    """A model whose sound is a constant: how many letters its prompt has."""

    max_duration = 1.0

    def generate(self, prompts, *, duration, seeds):
        assert len(set(seeds)) == len(prompts)
        return torch.tensor([float(len(p)) for p in prompts])[:, None, None].repeat(1, 1, 4)


class Ear:
    """A probe that hears a bell in short prompts and a dog in long ones."""

    label_set = LabelSet({"family": ("bell", "dog")})

    def answers(self, waveforms):
        return {"family": (waveforms[:, 0] > 4).long()}


def test_every_family_is_asked_for_in_words_of_ones_own():
    assert {row["family"] for row in ROWS} == set(FAMILIES)
    assert len({row["prompt"] for row in ROWS}) == len(ROWS) >= 24
    strange = [r for r in ROWS if set(split_words(r["prompt"])) - vocabulary()]
    assert len(strange) >= len(ROWS) / 4, "some have words that no caption has"


def test_it_counts_what_is_heard():
    rows = [
        {"prompt": "bell", "family": "bell"},
        {"prompt": "a bell of brass", "family": "bell"},
        {"prompt": "a dog barks", "family": "dog"},
    ]
    report = judge(Echo(), Ear(), rows, seed=1)
    assert (report["prompts"], report["seeds"]) == (3, SEEDS)
    assert report["family"]["n"] == 3 * SEEDS
    assert report["family"]["accuracy"] == 2 / 3
    assert [row["right"] for row in report["each"]] == [SEEDS, 0, SEEDS]
    assert report["each"][1]["unknown"] == ["brass"]
    assert report["each"][1]["heard"] == ["dog"] * SEEDS

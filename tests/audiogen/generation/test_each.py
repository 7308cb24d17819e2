"""Any number of sounds in batches: each is the sound it would be alone, and comes when done."""

import logging
import random
import weakref

import pytest
import torch

from audiogen.generation import drawing
from audiogen.generation.memory import TooLittleMemoryError

LOOSE = {"rtol": 0, "atol": 1e-5}  # what another batch size changes by rounding
WORDS = ["a", "dog", "barks", "twice", "heavy", "rain", "falls", "on", "tin", "roofs", "far"]


def random_jobs(rng, count):
    captions = [" ".join(rng.choices(WORDS, k=rng.randrange(8))) or None for _ in range(count)]
    durations = [rng.choice([0.002, 0.03, 0.03, 0.05, 0.13, 0.0501]) for _ in range(count)]
    seeds = [
        rng.choice([rng.randrange(99), (rng.randrange(9), rng.randrange(9))]) for _ in captions
    ]
    return captions, durations, seeds


@pytest.mark.parametrize("trial", range(3))
def test_each_item_is_what_it_is_alone(model, trial):
    rng = random.Random(trial)
    captions, durations, seeds = random_jobs(rng, 7)
    options = {"guidance_scale": rng.choice([1.0, 3.0, 0.0]), "temperature": rng.choice([0.7, 1.0])}
    found = {
        made.index: made
        for made in model.generate_each(
            captions,
            durations=durations,
            seeds=seeds,
            batch_size=rng.choice([1, 2, 3, 5, 20]),
            **options,
        )
    }
    assert sorted(found) == list(range(7))
    for index, made in found.items():
        sound, codes = model.generate(
            captions[index : index + 1],
            duration=durations[index],
            seeds=[made.seed],
            return_tokens=True,
            **options,
        )
        assert torch.equal(made.codes, codes[0])
        torch.testing.assert_close(made.waveform, sound[0], **LOOSE)
        assert (made.n, made.score, made.scorer) == (1, None, None)
        asked = seeds[index]
        assert made.seed == (asked if isinstance(asked, tuple) else (asked, 0))


def test_one_seed_numbers_the_items(model):
    captions = ["rain", "a dog", "rain on tin", "wind"]
    together = model.generate_codes(captions, duration=0.05, seed=3)
    for made in model.generate_each(captions, durations=0.05, seed=3, batch_size=3):
        assert torch.equal(made.codes, together[made.index])
        assert made.seed == (3, made.index)


@pytest.mark.parametrize("best_of", [1, 3])
def test_all_can_begin_with_one_sound(model, best_of):
    generator = torch.Generator().manual_seed(1)
    prompt = torch.randint(
        model.lm.codebook_size, (1, model.lm.num_codebooks, 5), generator=generator
    )
    heard = []
    made = model.generate_each(
        ["rain", "a dog", "wind"],
        durations=[0.05, 0.03, 0.05],
        seed=3,
        best_of=best_of,
        prompt_codes=prompt,
        progress=lambda done, total: heard.append((done, total)),
    )
    for one in made:
        expected = model.generate_codes(
            [["rain", "a dog", "wind"][one.index]],
            duration=[0.05, 0.03, 0.05][one.index],
            seeds=[one.seed],
            best_of=best_of,
            prompt_codes=prompt,
        )
        assert torch.equal(one.codes, expected[0])
        assert torch.equal(one.codes[:, :5], prompt[0])
        assert len(one.scores) == (0 if best_of == 1 else best_of)
    assert heard[-1][0] == heard[-1][1]
    with pytest.raises(ValueError, match=r"expected one, \[1, K, P\], got"):
        model.generate_each(["rain"], prompt_codes=prompt[0])


def test_what_is_not_wanted_any_more_is_left_out(model):
    """Asked when a batch is about to be made, not before."""
    asked, heard, made = [], [], []

    def wanted(index):
        asked.append(index)
        return index % 3 > 0

    options = {"progress": lambda done, total: heard.append((done, total)), "batch_size": 2}
    for one in model.generate_each(["rain"] * 6, durations=0.03, seed=1, wanted=wanted, **options):
        made.append(one.index)
        assert len(asked) <= 2 * len(made) + 2
    assert sorted(made) == [1, 2, 4, 5]
    assert sorted(asked) == list(range(6))
    assert heard[-1][0] == heard[-1][1]
    assert torch.equal(
        one.codes, model.generate_codes(["rain"], duration=0.03, seeds=[one.seed])[0]
    )


def test_the_longest_come_first_and_captions_of_a_length_together(model):
    captions = ["a", "a b", "a b c", "a", "a b"]
    durations = [0.01, 0.02, 0.01, 0.01, 0.01]
    order = [
        made.index
        for made in model.generate_each(captions, durations=durations, seed=0, batch_size=2)
    ]
    assert order == [1, 2, 4, 0, 3]


def test_an_iterator_is_read_as_it_is_needed(model):
    read = []

    def captions():
        for index in range(100_000):
            read.append(index)
            yield "rain"

    stream = model.generate_each(captions(), durations=0.002, greedy=True, batch_size=64)
    assert not read
    next(stream)
    assert len(read) == 1024
    for _ in range(1100):
        next(stream)
    assert len(read) < 3000


def test_the_results_are_not_held(make_model):
    model = make_model(ratios=(4,))
    captions = ("rain" if index % 2 else "a dog" for index in range(4000))
    count, alive = 0, []
    for made in model.generate_each(
        captions, durations=1 / 4000, greedy=True, guidance_scale=1.0, batch_size=500
    ):
        alive.append(weakref.ref(made.waveform))
        count += 1
        if count % 500 == 0:
            assert sum(ref() is not None for ref in alive) <= 501
    assert count == 4000


def test_nothing_to_do(model):
    assert list(model.generate_each([])) == []
    assert list(model.generate_each(iter(()), best_of=2)) == []


def test_the_padding_of_the_reference_keeps_the_order_given(model):
    captions = ["a dog", "rain on a tin roof at night", None, "wind", "a b c"]
    call = {"greedy": True, "padding": "batch"}
    made = list(model.generate_each(captions, durations=0.05, batch_size=2, **call))
    assert [one.index for one in made] == [0, 1, 2, 3, 4]
    for start in (0, 2, 4):
        pair = model.generate_codes(captions[start : start + 2], duration=0.05, **call)
        for row, codes in enumerate(pair):
            assert torch.equal(made[start + row].codes, codes)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"durations": [0.1]}, "there are 1 durations and more captions"),
        ({"durations": [0.1] * 3}, "there are 2 captions and more durations"),
        ({"seeds": [1]}, "there are 1 seeds and more captions"),
        ({"seeds": [1, 2, 3]}, "there are 2 captions and more seeds"),
        ({"seeds": [1, "x"]}, "a seed is a whole number, got 'x'"),
        ({"durations": [0.1, float("nan")]}, "item 1: duration must be more than 0 seconds"),
        ({"durations": [0.1, None]}, "item 1: duration must be a number of seconds"),
        ({"durations": "12"}, "durations are seconds, one number or one per caption"),
        ({"durations": 0}, "item 0: duration must be more than 0 seconds"),
        ({"descriptions": ["a", 5]}, "item 1: must be a string or None"),
        ({"descriptions": "rain"}, "got one string"),
        ({"descriptions": {"description": "rain"}}, "got one caption"),
        ({"descriptions": 5}, "expected a list of captions, got int"),
        ({"duration": 0.1}, "got duration, of all, and durations, of each: give one of them"),
        ({"batch_size": 0}, "batch_size must be a number of at least 1, got 0"),
        ({"batch_size": 1.5}, "batch_size must be a number"),
        ({"guidance_scale": float("nan")}, "guidance_scale must be a finite number"),
        ({"best_of": 2, "descriptions": ["a", ""]}, "caption 1 is none"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_made(model, call, message):
    with pytest.raises(ValueError, match=message):
        model.generate_each(**({"descriptions": ["a", "b"], "durations": 0.01} | call))


def test_one_duration_for_all(model):
    together = model.generate_codes(["a", "b"], duration=0.05, seed=3)
    for made in model.generate_each(["a", "b"], duration=0.05, seed=3):
        assert torch.equal(made.codes, together[made.index])


def test_progress_counts_the_frames_of_all(model):
    seen = []
    made = model.generate_each(
        ["a", "b c", "d"],
        durations=[0.01, 0.01, 0.02],
        seed=1,
        batch_size=4,
        best_of=2,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert len(list(made)) == 3
    assert seen[-1] == (40, 40)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


class Memory:
    """Room for so many rows, which cannot be had otherwise than by pretending."""

    def __init__(self, rows):
        self.rows, self.tried, self.real = rows, [], drawing.generate_windows

    def __call__(self, lm, text, *rest, **keywords):
        self.tried.append(len(text))
        if len(text) > self.rows:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nmore")
        return self.real(lm, text, *rest, **keywords)


@pytest.fixture
def short_of_memory(monkeypatch):
    def limit(rows):
        memory = Memory(rows)
        monkeypatch.setattr(drawing, "generate_windows", memory)
        return memory

    return limit


@pytest.mark.parametrize("options", [{}, {"best_of": 3}, {"padding": "batch"}])
def test_a_batch_that_does_not_fit_is_halved_and_changes_no_sound(
    model, short_of_memory, caplog, options
):
    captions = ["a", "b c", "d e f", "g", "h i"]
    call = {"durations": 0.02, "seed": 4, "batch_size": 12, **options}
    expected = {made.index: made.codes for made in model.generate_each(captions, **call)}
    seen = []
    memory = short_of_memory(2)
    with caplog.at_level(logging.WARNING):
        found = {
            made.index: made.codes
            for made in model.generate_each(
                captions, progress=lambda done, total: seen.append((done, total)), **call
            )
        }
    assert all(torch.equal(found[index], expected[index]) for index in range(5))
    assert sum(rows > 2 for rows in memory.tried) < 4  # it is remembered
    assert "memory ran out with" in caplog.text
    assert seen[-1][0] == seen[-1][1]


def test_one_sound_that_does_not_fit_says_what_costs_least(model, short_of_memory):
    short_of_memory(0)
    for options, advice in (
        ({}, "take two_step=True"),
        ({"two_step": True}, r"load the model with dtype=torch\.bfloat16"),
        ({"guidance_scale": 1.0}, r"load the model with dtype=torch\.bfloat16"),
    ):
        with pytest.raises(TooLittleMemoryError, match=advice) as caught:
            list(model.generate_each(["a", "b"], durations=0.02, seed=1, **options))
        assert "Tried to allocate 2.00 GiB.)" in str(caught.value)
        assert "more" not in str(caught.value)
    model.lm.bfloat16()
    with pytest.raises(TooLittleMemoryError, match=r"lower model\.max_duration"):
        list(model.generate_each(["a"], durations=0.02, seed=1, two_step=True))


def test_a_call_that_does_not_fit_names_its_batch(model, short_of_memory):
    short_of_memory(1)
    with pytest.raises(TooLittleMemoryError, match="3 sounds were made at once: take a smaller"):
        model.generate(["a", "b", "c"], duration=0.02)


@pytest.mark.parametrize("duration", [1e13, 1e15])
def test_memory_that_really_runs_out(model, duration):
    with pytest.raises(TooLittleMemoryError, match="not enough memory: "):
        model.generate(["a"], duration=duration)


def test_other_errors_stay_what_they_are(model):
    with torch.no_grad():
        model.lm.head.weight.fill_(float("nan"))
    with pytest.raises(ValueError, match="not finite"):
        list(model.generate_each(["a", "b"], durations=0.02, seed=1))

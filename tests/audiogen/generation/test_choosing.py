"""Best of n: the first candidate is the sound there was before; a named scorer's best stays."""

import numpy as np
import pytest
import torch

from audiogen.generation.scorers import check_scorer, likelihood_gains, scorer_name
from audiogen.generation.windows import plan_windows
from audiogen.tokens.patterns import build_sequence
from tests.audiogen.lm.test_written_out import Plain, random_lm

CALL = {"duration": 0.02, "seed": 5}


def loudness(waveforms, sample_rate, caption):
    """A scorer as a user writes one."""
    assert waveforms.ndim == 3
    assert (sample_rate, waveforms.device.type) == (16000, "cpu")
    return waveforms.square().mean(dim=(1, 2))


def made_each(model, captions, **options):
    call = {"durations": 0.02, "seed": 5, "best_of": 4} | options
    return sorted(model.generate_each(captions, **call), key=lambda made: made.index)


def test_the_kept_sound_is_the_best_and_the_first_that_of_best_of_one(model):
    captions = ["rain", None, "a dog"]
    alone = model.generate(captions, **CALL)
    heard = {}

    def remember(waveforms, sample_rate, caption):
        heard[caption] = waveforms
        return loudness(waveforms, sample_rate, caption)

    made = made_each(model, captions, scorer=remember, batch_size=2)
    for one, caption, only in zip(made, captions, alone, strict=True):
        expected = loudness(heard[caption], 16000, caption)
        torch.testing.assert_close(heard[caption][0], only, rtol=0, atol=1e-5)
        assert (one.n, one.scorer) == (4, "remember")
        assert one.scores == tuple(expected.tolist())
        assert one.score == max(one.scores)
        best = heard[caption][int(expected.argmax())]
        torch.testing.assert_close(one.waveform, best, rtol=0, atol=1e-5)
        assert len({tuple(sound.flatten().tolist()) for sound in heard[caption]}) == 4
    assert any(one.scores[0] < one.score for one in made)


@pytest.mark.parametrize("duration", [0.01, 0.11])
def test_the_same_is_kept_whatever_the_batch_and_the_method(model, duration):
    captions = ["rain", "a dog barks", "wind"]
    options = {"best_of": 3, "scorer": "likelihood"}
    codes = model.generate_codes(captions, duration=duration, seed=5, **options)
    for size in (4,) if duration > 0.1 else (1, 2):
        made = made_each(model, captions, durations=duration, batch_size=size, **options)
        for one in made:
            assert torch.equal(one.codes, codes[one.index])
            assert (one.scorer, one.n) == ("likelihood", 3)


def test_more_candidates_only_add(model):
    two, five = (made_each(model, ["rain"], best_of=n)[0].scores for n in (2, 5))
    np.testing.assert_allclose(five[:2], two, atol=1e-6)


@pytest.mark.parametrize("seed", range(6))
@torch.no_grad()
def test_likelihood_is_that_of_the_model_written_out(seed):
    """Mean over all codes of log p with caption - log p without, by another writing in float64."""
    lm, generator = random_lm(seed)
    shape = (2, lm.num_codebooks, 5)
    codes = torch.randint(lm.codebook_size, shape, generator=generator)
    text = torch.randn(2, 3, lm.dim, generator=generator)
    plain = Plain(lm)
    plan = list(plan_windows(num_frames=5, window=4, stride=1))
    found = likelihood_gains(lm, codes, text, None, windows=plan)
    for item in range(2):
        total = 0.0
        for start, done, end in plan:
            seen = codes[item, :, start:end]
            layout = lm.pattern.layout(end - start)
            sequence = build_sequence(seen[None], layout, fill=lm.special_token)[0]
            for states, sign in ((text[item], 1), (torch.zeros_like(text[item]), -1)):
                likely = plain.logits(sequence, states).log_softmax(-1)
                for k, row in enumerate(layout.tolist()):
                    for step, frame in enumerate(row):
                        if frame >= done - start:
                            total += sign * float(likely[k, step - 1, seen[k, frame]])
        assert found[item] == pytest.approx(total / codes[item].numel(), abs=1e-5)


def test_likelihood_in_parts_is_that_of_all(model, monkeypatch):
    codes = torch.randint(16, (5, 3, 20), generator=torch.Generator().manual_seed(0))
    states, mask = model.condition(["rain", "a dog", "wind", "a b c", None])
    plan = list(plan_windows(num_frames=20, window=20, stride=5))
    whole = likelihood_gains(model.lm, codes, states, mask, windows=plan)
    monkeypatch.setattr("audiogen.generation.scorers.LOGITS", 1)
    parts = likelihood_gains(model.lm, codes, states, mask, windows=plan)
    np.testing.assert_allclose(parts, whole, atol=1e-6)
    assert whole[-1] == 0  # without a caption there is nothing to gain
    assert min(map(abs, whole[:-1])) > 1e-4


def test_a_prompt_is_not_scored(model):
    prompt = torch.zeros(1, 3, 6, dtype=torch.long)
    call = model._checked(["rain"], 0.02, prompt, {"best_of": 2, "seed": 1})
    codes = torch.randint(16, (2, 3, 10), generator=torch.Generator().manual_seed(0))
    codes[..., :6] = 0
    _, scores = model._chosen(call, codes)
    windows = list(plan_windows(num_frames=10, window=50, stride=10, given=6))
    assert [entry.done for entry in windows] == [6]
    expected = likelihood_gains(
        model.lm, codes, call.states.repeat(2, 1, 1), call.mask.repeat(2, 1), windows=windows
    )
    np.testing.assert_allclose(scores[0], expected, atol=1e-6)
    kept = model.generate_codes(["rain"], **CALL, best_of=3, prompt_codes=prompt)
    assert torch.equal(kept[..., :6], prompt)


def test_a_caption_is_needed_where_a_scorer_of_ours_judges(model):
    for captions in (["rain", None], ["rain", " "], ["rain", {"description": None}]):
        with pytest.raises(ValueError, match="caption 1 is none, and the scorer likelihood says"):
            model.generate(captions, **CALL, best_of=2)
    with pytest.raises(ValueError, match="caption 0 is none"):
        model.generate_unconditional(1, **CALL, best_of=2)
    model.generate([None], **CALL, best_of=2, scorer=loudness)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"best_of": 0}, "best_of must be a whole number of at least 1, got 0"),
        ({"best_of": 10**9}, "best_of is at most 1000, got 1000000000"),
        ({"best_of": 1.5}, "best_of must be a whole number"),
        ({"best_of": True}, "best_of must be a whole number"),
        ({"best_of": 2, "greedy": True}, "greedy or temperature 0 gives the same sound"),
        ({"best_of": 2, "temperature": 0}, "greedy or temperature 0 gives the same sound"),
        ({"best_of": 2, "scorer": "clap"}, "the scorer clap needs weights of yours"),
        ({"best_of": 2, "scorer": "clap:"}, "the scorer clap needs weights of yours"),
        ({"best_of": 2, "scorer": "loudest"}, 'scorer is "likelihood", "clap:FOLDER_OR_ID"'),
        ({"best_of": 2, "scorer": None}, 'scorer is "likelihood", "clap:FOLDER_OR_ID"'),
        ({"best_of": 2, "scorer": lambda *_: [1.0]}, "must give 2 numbers, none NaN, got"),
        ({"best_of": 2, "scorer": lambda *_: [1.0, float("nan")]}, "none NaN"),
        ({"best_of": 2, "scorer": lambda *_: 3.0}, "must give 2 numbers, got float"),
        ({"best_of": 2, "scorer": lambda *_: ["a", "b"]}, "must give 2 numbers, got list"),
    ],
)
def test_choices_that_make_no_sense(model, options, message):
    with pytest.raises(ValueError, match=message):
        model.generate(["rain"], **CALL, **options)


def test_names_of_scorers():
    class Named:
        name = "mine"

        def __call__(self, *_):
            return [0.0]

    assert scorer_name(Named()) == "mine"
    assert scorer_name(loudness) == "loudness"
    assert scorer_name("clap:some/folder") == "clap:some/folder"
    check_scorer(loudness)


def test_a_stream_cannot_be_chosen(model):
    with pytest.raises(ValueError, match="a stream gives away its beginning first"):
        model.stream("rain", **CALL, best_of=2)

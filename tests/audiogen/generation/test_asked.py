"""What a call may ask for reaches the sound, or is refused: guidance, lengths, prompts, numbers."""

import math

import pytest
import torch

from audiogen.generation import stages
from audiogen.generation.settings import guided_frames
from audiogen.pipeline import AudioGen
from tests.audiogen.conftest import build_codec

LOOSE = {"rtol": 0, "atol": 1e-5}
NO_NUMBER = float("nan")


def codes(model, **options):
    return model.generate_codes(["rain on tin"], **({"duration": 0.1, "seed": 1} | options))


def test_a_guidance_window_guides_those_seconds(model):
    everywhere, nowhere = codes(model), codes(model, guidance_scale=1.0)
    assert not torch.equal(everywhere, nowhere)
    for window in (None, (0, 0.1), (0.0, math.inf), [0, 7]):
        assert torch.equal(codes(model, guidance_window=window), everywhere)
    assert torch.equal(codes(model, guidance_window=(0.2, 0.3)), nowhere)
    late = codes(model, guidance_window=(0.05, 1.0))
    assert torch.equal(late[..., :23], nowhere[..., :23])  # two delays before frame 25
    assert not torch.equal(late, nowhere)
    early = codes(model, guidance_window=(0, 0.05))
    assert torch.equal(early[..., :23], everywhere[..., :23])
    assert not torch.equal(early, everywhere)


def test_a_guidance_window_counts_from_the_beginning_of_the_whole_sound(model):
    """0.25 s in windows of 0.1 s; guidance from 0.2 s on leaves all windows before alone."""
    nowhere = codes(model, duration=0.25, guidance_scale=1.0)
    late = codes(model, duration=0.25, guidance_window=(0.2, 0.25))
    assert torch.equal(late[..., :98], nowhere[..., :98])
    assert not torch.equal(late, nowhere)
    everywhere = codes(model, duration=0.25)
    early = codes(model, duration=0.25, guidance_window=(0, 0.2))
    assert torch.equal(early[..., :98], everywhere[..., :98])


@pytest.mark.parametrize("window", [(0.1, 0.1), (0.2, 0.1), (-1, 1), (NO_NUMBER, 1), 3, "01", (1,)])
def test_guidance_windows_that_make_no_sense(model, window):
    with pytest.raises(ValueError, match="guidance_window is a pair of seconds"):
        codes(model, guidance_window=window)


def test_guided_frames_are_whole():
    call = {"frame_rate": 50, "num_frames": 500}
    assert guided_frames((0.1, 4), **call) == (5, 200)
    assert guided_frames((0.1, math.inf), **call) == (5, 500)
    assert guided_frames((0, 10), **call) is None
    assert guided_frames((0, 0.001), **call) == (0, 0)


@pytest.mark.parametrize("options", [{}, {"padding": "batch"}, {"guidance_window": (0, 0.04)}])
def test_two_steps_give_the_same_codes(model, options):
    captions = ["rain on a tin roof", None, "a dog"]
    call = {"duration": 0.13, "seed": 3, **options}
    expected = model.generate_codes(captions, **call)
    assert torch.equal(model.generate_codes(captions, **call, two_step=True), expected)
    model.set_generation_params(two_step_cfg=True, duration=0.13)
    assert model.settings.two_step
    assert torch.equal(model.generate_codes(captions, seed=3, **options), expected)
    with pytest.raises(ValueError, match="two_step is true or false, got 'yes'"):
        model.generate_codes(captions, **call, two_step="yes")


@pytest.mark.parametrize("scale", [0, 0.5, -2, 1, 30])
def test_any_finite_guidance_gives_sound(model, scale):
    assert bool(
        model.generate(["rain"], duration=0.02, seed=1, guidance_scale=scale).isfinite().all()
    )


def test_guidance_0_ignores_the_caption(model):
    none = model.generate_codes([None], duration=0.05, seed=1, guidance_scale=1)
    assert torch.equal(codes(model, duration=0.05, guidance_scale=0), none)
    away = codes(model, duration=0.05, guidance_scale=-2)
    assert not torch.equal(away, none)


@pytest.mark.parametrize(
    "options",
    [
        {"guidance_scale": NO_NUMBER},
        {"guidance_scale": math.inf},
        {"temperature": NO_NUMBER},
        {"temperature": -0.1},
        {"top_k": -1},
        {"top_p": 1.5},
        {"top_p": NO_NUMBER},
        {"duration": 0},
        {"duration": -3},
        {"duration": NO_NUMBER},
        {"duration": math.inf},
        {"duration": 0.0009},
        {"windows": "long"},
        {"padding": None},
    ],
)
def test_what_makes_no_sense_is_refused_before_the_work(model, options):
    name = next(iter(options))
    call = {"duration": 0.02} | options
    for generate in (model.generate, model.generate_codes):
        with pytest.raises(ValueError, match=f"^{name}"):
            generate(["rain"], **call)
    with pytest.raises(ValueError, match=f"^{name}"):
        model.stream("rain", **call)
    call["durations"] = call.pop("duration")
    with pytest.raises(ValueError, match=f"{name}"):
        model.generate_each(["rain"], **call)


def test_a_thousandth_of_a_second_is_as_the_frame_rate_says(model, make_model):
    """Half a frame of 500 Hz, rounded to none; a frame of 1000 Hz; and at 50 Hz far too little."""
    with pytest.raises(ValueError, match=r"shorter than one frame: ask for 0\.002 s"):
        model.generate(["rain"], duration=0.001)
    with pytest.raises(ValueError, match=r"shorter than one frame: ask for 0\.02 s"):
        make_model(ratios=(8, 5, 4, 2)).generate(["rain"], duration=0.001)
    assert make_model(ratios=(4, 4)).generate(["rain"], duration=0.001).shape == (1, 1, 16)


def test_more_than_there_are_and_nothing_left_to_chance(model):
    assert torch.equal(codes(model, top_k=10**9), codes(model, top_k=0))
    greedy = codes(model, greedy=True)
    for options in ({"temperature": 0}, {"temperature": 1e-30}, {"top_k": 1}, {"top_p": 1e-9}):
        assert torch.equal(codes(model, **options), greedy)


def test_an_hour_in_bounded_memory(model, monkeypatch):
    """A frame in 4 s, so that an hour is 900 of them; decoded in pieces, never as a whole."""
    monkeypatch.setattr(stages, "LONG", 1 << 12)
    codec = build_codec(sample_rate=8)
    long = AudioGen(text=model.text, lm=model.lm, codec=codec, max_duration=80.0)
    assert long.frame_rate == 0.25
    long.set_generation_params(extend_stride=60)
    decoded = []
    monkeypatch.setattr(codec, "decode", decoded.append)
    (made,) = long.generate_each(["rain"], durations=3600, seed=1, guidance_scale=1.0)
    assert made.codes.shape == (3, 900)
    assert made.waveform.shape == (1, 3600 * 8)
    assert not decoded
    assert len(set(made.codes[:, -100:].flatten().tolist())) > 5


def test_long_sounds_are_decoded_in_pieces_to_the_same(model, monkeypatch):
    drawn = torch.randint(16, (3, 3, 300), generator=torch.Generator().manual_seed(0))
    whole = model.decode(drawn)
    for name in ("LONG", "DECODED"):
        with monkeypatch.context() as patch:
            patch.setattr(stages, name, 1 << 12)
            torch.testing.assert_close(model.decode(drawn), whole, **LOOSE)


def test_no_window_reads_more_than_its_length(model, monkeypatch):
    from audiogen.generation import windows

    given, real = [], windows.generate_frames

    def watched(*arguments, prompt, num_frames, **keywords):
        given.append((prompt.shape[-1], prompt.untyped_storage().nbytes(), num_frames))
        return real(*arguments, prompt=prompt, num_frames=num_frames, **keywords)

    monkeypatch.setattr(windows, "generate_frames", watched)
    codes(model, duration=0.5, guidance_scale=1.0)
    assert len(given) == 21
    assert max(frames for _, _, frames in given) == 50
    assert max(held for held, _, _ in given) == 40
    assert max(size for _, size, _ in given) <= 50 * 3 * 8


@pytest.mark.parametrize("frames", [1, 50, 60])
def test_a_stream_behind_a_prompt_is_the_continuation(model, frames):
    prompt = torch.randint(16, (1, 3, frames), generator=torch.Generator().manual_seed(frames))
    call = {"duration": 0.16, "seed": 2, "prompt_codes": prompt}
    whole = model.decode(model.generate_codes(["rain"], **call))
    pieces = list(model.stream("rain", piece=0.03, **call))
    torch.testing.assert_close(torch.cat(pieces, dim=-1), whole, **LOOSE)


def test_continuation_of_any_sound(model):
    """Silent, longer than a window, of another rate, mono or stereo."""
    for prompt, rate in (
        (torch.zeros(1, 800), 16000),
        (torch.zeros(2, 2, 800), 16000),
        (torch.sin(torch.arange(5000) / 9)[None], 44100),
        (0.1 * torch.ones(1, 2, 4800), 48000),
        (0.1 * torch.ones(1, 900), 11025),
    ):
        given = model.encode(prompt, rate)
        sound, whole = model.generate_continuation(
            prompt, rate, duration=0.2, seed=1, return_tokens=True
        )
        assert whole.shape == (len(given), 3, 100)
        assert torch.equal(whole[..., : given.shape[-1]], given)
        assert sound.shape == (len(given), 1, 100 * 32)
        assert bool(sound.isfinite().all())
    for prompt in (torch.zeros(1, 0), torch.zeros(0, 1, 100), torch.zeros(3)):
        with pytest.raises(ValueError):
            model.generate_continuation(prompt, 16000, duration=0.3)
    with pytest.raises(ValueError, match="must be shorter than the 50 asked for"):
        model.generate_continuation(torch.zeros(1, 1600), 16000, duration=0.1)


def test_windows_of_the_reference_can_be_asked_for_or_not(make_model):
    """3.4 s in steps of 0.3 s and windows of 1.5 s: its last frame is in a window of its own."""
    model = make_model(ratios=(8, 5, 4, 2))
    model.max_duration = 1.5
    model.set_generation_params(use_sampling=False, extend_stride=0.3, cfg_coef=1.0)
    call = {"duration": 3.4, "padding": "batch"}
    usual = model.generate_codes(["rain"], **call)
    exact = model.generate_codes(["rain"], **call, windows="exact")
    assert torch.equal(usual[..., :-3], exact[..., :-3])  # with the delays of those before
    assert not torch.equal(usual, exact)
    own = model.generate_codes(["rain"], duration=3.4, windows="reference")
    assert torch.equal(own, usual)  # a single caption has no padding
    plans = [
        model._checked(["rain"], 3.4, None, options).windows()[-1]
        for options in ({"windows": "reference"}, {})
    ]
    assert plans == [(120, 169, 170), (105, 165, 170)]

"""Captions that nobody meant: what every encoder, and a model with it, makes of each."""

import pytest
import torch

from audiogen.lm.model import TokenLM
from audiogen.pipeline import AudioGen
from audiogen.text.cached import CachedEncoder
from audiogen.text.clap import ClapEncoder
from audiogen.text.hashed import HashedEncoder
from audiogen.text.joined import JoinedEncoder
from audiogen.text.t5 import T5Encoder

KINDS = ["t5", "cached", "clap", "hashed", "joined"]
BOOK = "a dog barks, then it rains. " * 3572  # 100 016 characters


@pytest.fixture(params=KINDS)
def encoder(request, t5_folder, clap_folder, tmp_path):
    torch.manual_seed(0)
    t5 = T5Encoder(name=str(t5_folder), lazy=True)
    if request.param == "joined":
        hashed = HashedEncoder(dim=32, num_buckets=64)
        return JoinedEncoder(encoders={"description": t5, "sound_class": hashed})
    return {
        "t5": lambda: t5,
        "cached": lambda: CachedEncoder(t5, folder=tmp_path / "states"),
        "clap": lambda: ClapEncoder(name=str(clap_folder), lazy=True),
        "hashed": lambda: HashedEncoder(dim=8, num_buckets=64),
    }[request.param]()


@pytest.mark.parametrize(
    "caption",
    [
        *(BOOK, "a" * 100_000, "🐕" * 100_000, "\n" * 100_000),
        *("🐕‍🦺 barks 🌧", "\ud800", "dog \udfff barks", "\x00", "\u202e\u200b", "</s><pad>"),
        *("犬が吠える", "ไฟไหม้", "e\u0301" * 1000, "<extra_id_0>", " ", "\t\n "),
    ],
    ids=lambda caption: ascii(caption[:12]),
)
def test_any_text_gives_finite_states_that_its_neighbours_do_not_change(encoder, caption):
    states, mask = encoder.encode([caption, "a dog barks", None])
    assert states.isfinite().all()
    assert (states[~mask] == 0).all()
    assert not mask[2].any()
    alone, of_alone = encoder.encode(["a dog barks"])
    torch.testing.assert_close(states[1][mask[1]], alone[of_alone], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("nothing", [None, "", {}, {"description": None}, {"description": ""}])
def test_a_batch_without_any_caption_is_a_batch(encoder, nothing):
    states, mask = encoder.encode([nothing] * 3)
    assert (len(states), mask.any().item(), states.any().item()) == (3, False, False)
    assert states.shape[1] >= 1


@pytest.mark.parametrize("wrong", [7, 0.5, b"rain", ["rain"], ("rain",), object(), True])
def test_what_is_no_text_is_refused_by_its_place(encoder, wrong):
    with pytest.raises(ValueError, match=r"caption 2 must be a string or None, got "):
        encoder.encode(["rain", None, wrong])


def test_blanks_are_no_caption_to_all_but_t5(encoder):
    """T5 reads </s>, as the reference does; the others read words, of which there are none."""
    mask = encoder.encode([" \t"])[1]
    reads_end = not isinstance(encoder, ClapEncoder | HashedEncoder)
    assert mask.sum().item() == (1 if reads_end else 0)


def test_a_model_generates_from_them(encoder, model):
    lm = TokenLM(**{**model.lm.config, "text_dim": encoder.dim})
    prompted = AudioGen(text=encoder, lm=lm, codec=model.codec, max_duration=0.1)
    for captions in ([None, ""], [BOOK, None], ["\ud800", "🐕"]):
        for padding in ("own", "batch"):
            codes = prompted.generate_codes(captions, duration=0.01, seed=1, padding=padding)
            assert codes.shape == (2, 3, 5)
    with pytest.raises(ValueError, match="caption 0 must be a string or None"):
        prompted.generate_codes([7], duration=0.01)

"""All that the reference's two small models computed, by ours with their weights.

One is as the published models are; the other is post-norm, with biases everywhere, and predicts
its codebooks in parallel. Padding of the text is attended to, as the reference does.
"""

import re

import numpy as np
import pytest
import torch

from audiogen.lm import generate
from audiogen.lm.decoding import StepDecoder
from audiogen.lm.loss import codebook_cross_entropy
from audiogen.lm.sampling import Sampling, filter_probabilities
from tests.audiogen.lm.conftest import GOLDEN, load_reference

CLOSE = {"rtol": 1e-4, "atol": 1e-5}


def close(actual, reference, name, **tolerance):
    torch.testing.assert_close(actual, reference[name], **(tolerance or CLOSE))


def exactly(actual, reference, name):
    close(actual, reference, name, rtol=0, atol=0)


def test_text_projection(reference):
    mask = reference["cond_mask"].bool()
    text = reference.lm.project_text(reference["t5_hidden"], mask)
    close(text, reference, "cond_emb")
    assert (text[~mask] == 0).all()


@torch.no_grad()
def test_forward(reference):
    logits = reference.lm(reference["fw_sequence"], reference["fw_cond_emb"])
    close(logits, reference, "fw_logits")


@pytest.mark.parametrize("complete", [False, True])
@torch.no_grad()
def test_predictions(reference, complete):
    text = reference["cond_emb"]
    logits, valid = reference.lm.predict(reference["codes"], text, complete=complete)
    exactly(valid, reference, "mask_allsteps" if complete else "mask")
    assert torch.equal(logits.isnan(), ~valid[..., None].expand_as(logits))
    expected = reference["logits_allsteps"].masked_fill(~valid[..., None], torch.nan)
    torch.testing.assert_close(logits, expected, equal_nan=True, **CLOSE)


@pytest.mark.parametrize("end", ["", "_padded", "_padded_special"])
@torch.no_grad()
def test_cross_entropy(reference, end):
    """With the special token, padded codes are hidden from the model, too."""
    codes, text = reference["codes"], reference["cond_emb"]
    mask = reference["padding_mask"] if end else torch.ones_like(codes, dtype=torch.bool)
    read = codes.where(mask, reference.lm.special_token) if end == "_padded_special" else codes
    logits, valid = reference.lm.predict(read, text)
    losses = codebook_cross_entropy(logits, codes, valid & mask)
    tight = {"rtol": 1e-5, "atol": 1e-5}
    close(losses, reference, f"ce_per_codebook{end}", **tight)
    close(losses.mean(), reference, f"ce{end}", **tight)
    loss, losses = reference.lm.losses(read, text, code_mask=mask)
    close(losses, reference, f"ce_per_codebook{end}", **tight)
    close(loss, reference, f"ce{end}", **tight)


@pytest.fixture
def recorded(monkeypatch):
    """Guided logits of every step of a generation, and what they were made of."""
    guided, parts = [], []
    choose, advance = Sampling.choose, StepDecoder.advance

    def spy_on_choose(self, logits, noise):
        guided.append(logits)
        return choose(self, logits, noise)

    def spy_on_advance(self, sequence):
        logits = advance(self, sequence)
        parts.append(logits)
        return logits

    monkeypatch.setattr(Sampling, "choose", spy_on_choose)
    monkeypatch.setattr(StepDecoder, "advance", spy_on_advance)
    return guided, parts


GREEDY = {  # name: rows, text positions, settings
    "greedy": (4, 59, {}),
    "greedy_prompt": (4, 59, {"prompt": True}),
    "greedy_single": (1, 5, {}),
    "greedy_cfg1": (4, 59, {"guidance_scale": 1.0}),
}
CASES = [("lm", name) for name in GREEDY] + [("lm_alt", "greedy")]


@pytest.mark.parametrize(("model", "name"), CASES)
def test_greedy_codes_and_logits(recorded, model, name):
    reference = load_reference(model)
    rows, length, settings = GREEDY[name]
    if settings.get("prompt"):
        settings = settings | {"prompt": reference["prompt"]}
    codes = generate.generate_codes(
        reference.lm,
        reference["cond_emb"][:rows, :length],
        None,
        num_frames=reference[name].shape[-1],
        generators=None,
        **settings,
    )
    exactly(codes, reference, name)
    guided, parts = recorded
    if f"{name}_first_logits" in reference.arrays:
        close(guided[0], reference, f"{name}_first_logits")
    if f"{name}_step_logits" in reference.arrays:
        close(torch.stack(guided, dim=1), reference, f"{name}_step_logits")
    for part, half in zip(("cond", "uncond"), parts[0].chunk(2), strict=False):
        if f"{name}_first_{part}_logits" in reference.arrays:
            close(half, reference, f"{name}_first_{part}_logits")


def test_two_steps_are_the_same_as_one():
    """The reference's other way to guide, and its switch that leaves out the prompt: slicing."""
    reference = load_reference("lm")
    for ours, theirs in (("greedy", "greedy_twostep"), ("greedy_prompt", "greedy_twostep_prompt")):
        exactly(reference[ours], reference, theirs)
        first = reference[f"{ours}_first_logits"]
        close(first, reference, f"{theirs}_first_logits")
    exactly(reference["greedy_prompt"][:, :, 12:], reference, "greedy_prompt_removed")


@pytest.mark.parametrize("length", [1, 7])
def test_greedy_without_captions(length):
    """The reference gives zeros, of any length; ours is told that nothing is there."""
    reference = load_reference("lm")
    zeros, noise = torch.zeros(2, length, 64), torch.randn(2, length, 64)
    for text, mask in ((zeros, None), (noise, torch.zeros(2, length, dtype=torch.bool))):
        codes = generate.generate_codes(reference.lm, text, mask, num_frames=20, generators=None)
        exactly(codes, reference, "greedy_uncond")


@pytest.mark.parametrize(
    "name", [name for name in np.load(GOLDEN / "lm.npz") if re.match(r"(probs|topk|topp)", name)]
)
def test_distributions_to_draw_from(golden, name):
    kind, value, temperature = re.fullmatch(r"([a-z]+)([\d.]*)_t([\d.]+)", name).groups()
    actual = filter_probabilities(
        golden["sampling_logits"],
        temperature=float(temperature),
        top_k=int(value) if kind == "topk" else 0,
        top_p=float(value) if kind == "topp" else 0.0,
    )
    torch.testing.assert_close(actual, golden[name], rtol=0, atol=1e-6)
    assert torch.equal(actual == 0, golden[name] == 0)

"""The baseline computes what we compute, or its time would say nothing."""

import pytest
import torch

from audiogen.lm.model import TokenLM
from recipes.speed.lm_baseline import PlainLM, PlainTraining, stacked_loss


def make():
    torch.manual_seed(0)
    lm = TokenLM(
        num_codebooks=3,
        codebook_size=16,
        text_dim=8,
        dim=24,
        num_layers=2,
        num_heads=2,
        delays=[0, 2, 1],
        embedding_std=0.5,
    )
    codes = torch.randint(0, 16, (2, 3, 9))
    mask = torch.ones_like(codes, dtype=torch.bool)
    mask[1, :, 6:] = False
    states = torch.randn(2, 4, 8)
    return lm, codes, mask, (states, torch.ones(2, 4, dtype=torch.bool))


def test_logits_are_equal():
    lm, codes, _, text = make()
    plain = PlainLM(lm)
    with torch.no_grad():
        expected, valid = lm.predict(codes, lm.project_text(*text), text[1])
        found, known = plain.predict(codes, plain.project_text(*text))
    assert torch.equal(known, valid)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4, equal_nan=True)


def test_losses_and_gradients_are_equal():
    lm, codes, mask, text = make()
    plain = PlainLM(lm)
    loss, losses = lm.losses(codes, lm.project_text(*text), text[1], code_mask=mask)
    loss.backward()
    logits, valid = plain.predict(codes, plain.project_text(*text))
    expected, parts = stacked_loss(logits, codes, valid & mask)
    expected.backward()
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=0)
    torch.testing.assert_close(losses, torch.stack(parts).detach(), rtol=1e-5, atol=0)
    slopes = plain.as_ours(lambda parameter: parameter.grad)
    found = {name: parameter.grad for name, parameter in lm.named_parameters()}
    assert slopes.keys() == found.keys()
    for name, slope in slopes.items():
        torch.testing.assert_close(found[name], slope, rtol=1e-3, atol=1e-7)


def test_ours_is_untouched_and_every_weight_has_its_place():
    lm, codes, mask, text = make()
    before = {name: value.clone() for name, value in lm.state_dict().items()}
    plain = PlainLM(lm)
    torch.testing.assert_close(
        {name: value.detach() for name, value in plain.as_ours(lambda p: p).items()}, before
    )
    training = PlainTraining(plain, encode=lambda captions: text)
    batch = {"codes": codes, "code_mask": mask, "captions": ["a", "b"]}
    losses = [training.step(batch)["loss"] for _ in range(3)]
    assert losses[2] < losses[0]
    torch.testing.assert_close(dict(lm.state_dict()), before, rtol=0, atol=0)


def test_updates_are_equal():
    """Clipped gradients through AdamW: the same weights three steps on."""
    lm, codes, mask, text = make()
    plain = PlainLM(lm)
    training = PlainTraining(plain, encode=lambda captions: text, limit=0.5)
    optimizer = torch.optim.AdamW(
        lm.parameters(), lr=1e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True
    )
    for _ in range(3):
        expected = training.step({"codes": codes, "code_mask": mask, "captions": ["a", "b"]})
        optimizer.zero_grad()
        loss, _ = lm.losses(codes, lm.project_text(*text), text[1], code_mask=mask)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(lm.parameters(), 0.5)
        optimizer.step()
        assert loss.item() == pytest.approx(expected["loss"], rel=1e-5)
    for name, weight in plain.as_ours(lambda parameter: parameter).items():
        torch.testing.assert_close(lm.get_parameter(name), weight, rtol=1e-3, atol=1e-5)

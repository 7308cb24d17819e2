"""The baseline computes what we compute, or its time would say nothing."""

import pytest
import torch

from audiogen.codec.codebook import nearest
from audiogen.codec.model import Codec
from recipes.speed.baseline import PlainCodec, plain_discriminator
from recipes.speed.training import Turns, fit, gradient_error, make_baseline, make_discriminator

SHAPE = {"num_filters": 4, "dimension": 16, "codebook_size": 32, "kmeans_init": False}


def make(**changes):
    torch.manual_seed(0)
    return Codec(**(SHAPE | {"init": "scaled"} | changes))


@pytest.mark.parametrize(
    "change",
    [{}, {"causal": True, "pad_mode": "reflect"}, {"norm": "none"}, {"true_skip": False}],
    ids=str,
)
@torch.no_grad()
def test_codes_and_waveforms_are_equal(change):
    codec = make(**change).eval()
    plain = PlainCodec(codec).eval()
    sound = torch.randn(2, 1, 9999) / 10
    codes = codec.encode(sound)[0]
    assert torch.equal(plain.encode(sound), codes)
    torch.testing.assert_close(plain.decode(codes), codec.decode(codes), rtol=0, atol=1e-5)


def test_ours_is_untouched():
    codec = make().eval()
    before = {name: value.clone() for name, value in codec.state_dict().items()}
    plain = PlainCodec(codec)
    plain(torch.randn(1, 1, 640))[0].sum().backward()
    torch.testing.assert_close(codec.state_dict(), before, rtol=0, atol=0)
    assert all(p.grad is None for p in codec.parameters())


def test_weight_norm_is_live():
    """It is computed at every call, as the pattern has it."""
    plain = PlainCodec(make()).eval()
    first = plain.encoder[0].conv
    sound = torch.ones(1, 1, 640)
    with torch.no_grad():
        before = plain.encoder(sound)
        first.weight_g.mul_(2)
        assert not torch.equal(plain.encoder(sound), before)


def test_discriminators_are_equal():
    judge = make_discriminator(smoke=True)
    plain = plain_discriminator(judge)
    sound = torch.randn(2, 1, 4000)
    (ours, our_features), (theirs, their_features) = judge(sound), plain(sound)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(our_features, their_features, rtol=1e-5, atol=1e-5)
    assert sum(p.numel() for p in plain.parameters()) == sum(p.numel() for p in judge.parameters())


def test_updates_are_equal():
    """The same losses, balanced, give the same gradients, and the same weights three steps on."""
    codec, judge = make(), make_discriminator(smoke=True)
    batch = torch.randn(2, 1, 4000) / 10
    baseline = make_baseline(codec, judge)
    errors = []
    turns = Turns(lambda: baseline.step(batch))
    turns.after_first = lambda module: errors.append(gradient_error(module.codec, baseline.codec))
    module = fit(codec, judge, batch, updates=3, precision="32-true", callbacks=[turns])
    assert errors[0] < 1e-3
    assert len(turns.ours) == len(turns.theirs) == 2
    entries = module.codec.quantizer.codebooks[0].embed
    theirs = baseline.codec.quantizer.codebooks[0].embed
    torch.testing.assert_close(entries, theirs, rtol=1e-3, atol=1e-4)
    assert torch.equal(nearest(entries, theirs), torch.arange(32))
    with torch.no_grad():
        sound = module.codec.eval()(batch).waveform
        expected = baseline.codec.eval()(batch)[0]
    assert (sound - expected).std() < 0.02 * expected.std()

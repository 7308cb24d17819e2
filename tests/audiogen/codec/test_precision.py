"""Sixteen bits where they help, thirty-two where they would hurt; compiled graphs equal eager."""

import pytest
import torch

from audiogen.codec.balancer import Balancer
from audiogen.codec.losses import MultiScaleMelLoss


@pytest.fixture
def started(tiny_codec):
    """A codec whose codebooks know its latents, and sounds."""
    torch.manual_seed(0)
    codec = tiny_codec(lstm_layers=1, num_filters=4, dimension=8)
    x = 0.1 * torch.randn(4, 1, 2000)
    codec.train()(x)
    return codec.eval(), x


def test_quantizer_and_outputs_stay_in_float32_under_autocast(started):
    codec, x = started
    seen = []
    codec.quantizer.register_forward_hook(lambda module, inputs, output: seen.append(output))
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        output = codec(x)
        codes, _ = codec.encode(x)
        decoded = codec.decode(codes)
    assert output.waveform.dtype == decoded.dtype == torch.float32
    assert seen[0].latents.dtype == seen[0].commitment_loss.dtype == torch.float32
    # Exactly the codes that float32 arithmetic chooses for the latents it was given.
    assert torch.equal(seen[0].codes, codec.quantizer.encode(output.latents.float()))
    assert torch.equal(codes, output.codes)
    expected = codec.quantizer.decode(codes)
    torch.testing.assert_close(seen[0].latents, expected, rtol=1e-5, atol=1e-6)


def test_decoding_under_autocast_is_near(started):
    codec, x = started
    with torch.no_grad():
        codes, _ = codec.encode(x)
        plain = codec.decode(codes)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = codec.decode(codes)
    assert half.isfinite().all()
    assert not torch.equal(half, plain)  # the convolutions do run in sixteen bits
    assert (half - plain).norm() < 0.05 * plain.norm()


def test_codebooks_learn_in_float32_under_autocast(started):
    codec, x = started
    codec.train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = codec(x)
    for name, value in codec.quantizer.named_buffers():
        if value.is_floating_point():
            assert value.dtype == torch.float32, name
            assert value.isfinite().all(), name
    assert output.commitment_loss.dtype == torch.float32


def test_a_whole_training_step_under_autocast_is_finite_and_near(started):
    codec, x = started
    codec.train()
    mel = MultiScaleMelLoss(sample_rate=1000, n_ffts=[64, 128], num_mels=8, f_min=0.0)
    gradients = []
    state = {name: value.clone() for name, value in codec.state_dict().items()}
    for enabled in (False, True):
        codec.load_state_dict(state)
        codec.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            output = codec(x)
            losses = {"l1": (output.waveform - x).abs().mean(), "mel": mel(output.waveform, x)}
            output.commitment_loss.backward(retain_graph=True)
            Balancer({"l1": 0.1, "mel": 2.0}).backward(losses, output.waveform)
        assert all(loss.dtype == torch.float32 for loss in losses.values())
        gradients.append(torch.cat([p.grad.flatten() for p in codec.parameters()]))
    plain, half = gradients
    assert half.isfinite().all()
    cosine = torch.nn.functional.cosine_similarity(plain, half, dim=0)
    assert cosine > 0.95


@pytest.mark.parametrize("half", ["encoder", "decoder"])
def test_compiled_equals_eager(started, half):
    """The graph that torch.compile traces, forwards and backwards, through weight norms."""
    codec, x = started
    network = getattr(codec, half).train()
    inputs = x if half == "encoder" else codec.encoder(x).detach()
    compiled = torch.compile(network, backend="aot_eager")
    results = []
    for model in (network, compiled):
        network.zero_grad()
        output = model(inputs)
        output.square().mean().backward()
        results.append([output, *(p.grad for p in network.parameters())])
    for eager, traced in zip(*results, strict=True):
        torch.testing.assert_close(traced, eager, rtol=1e-4, atol=1e-6)

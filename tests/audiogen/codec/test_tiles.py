"""In pieces or at once: one result."""

import pytest
import torch

from audiogen.codec import tiles
from audiogen.codec.model import Codec

SHAPES = {
    "plain": {},
    "deep": {"num_residual_layers": 3, "dilation_base": 3, "residual_kernel_size": 5},
    "causal": {"causal": True, "pad_mode": "reflect"},
    "reflect": {"pad_mode": "reflect", "true_skip": False},
    "replicate": {"pad_mode": "replicate", "kernel_size": 5, "last_kernel_size": 9},
    "trim": {"causal": True, "trim_right_ratio": 0.3},
    "one stage": {"ratios": [6]},
    "odd": {"ratios": [3, 5, 2], "channels": 2},
    "stride one": {"ratios": [4, 1]},
    "all ones": {"ratios": [1, 1]},
    "spectral": {"norm": "spectral_norm", "lstm_layers": 1},
    "final": {"final_activation": "tanh", "disable_norm_outer_blocks": 1},
}


@pytest.fixture
def count(monkeypatch):
    """Make pieces as short as their margins allow, and count them."""
    monkeypatch.setattr(tiles, "PIECE", 64)
    monkeypatch.setattr(tiles, "LONGER", 4)
    calls = []
    run_layers = tiles.run_layers

    def counted(layers):
        network = run_layers(layers)
        return lambda x: (calls.append(x.shape), network(x))[1]

    monkeypatch.setattr(tiles, "run_layers", counted)
    return calls


def same(actual, expected):
    """Equal to 1e-5 of the largest value: random weights make loud sounds, too."""
    assert actual.shape == expected.shape
    assert (actual - expected).abs().max() <= 1e-5 * expected.abs().max()


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("name", SHAPES)
@torch.no_grad()
def test_pieces_are_the_whole(tiny_codec, count, name, batch):
    torch.manual_seed(1)
    codec = tiny_codec(**SHAPES[name]).eval()
    hop = codec.hop_length
    for samples in (1, hop - 1, 400 * hop, 400 * hop + hop // 2 + 1, 777):
        waveform = torch.randn(batch, codec.channels, max(1, samples)) / 10
        latents = codec.encoder(waveform)
        same(latents, codec.encoder.layers(waveform))
        same(codec.decoder(latents), codec.decoder.layers(latents))
    if max(codec.config["ratios"]) > 1:
        assert len(count) > 20


def test_the_real_shape_takes_pieces_of_a_second_or_less():
    codec = Codec()
    layers = list(codec.encoder.layers)
    strides = [i for i, x in enumerate(layers) if getattr(x, "stride", 1) > 1]
    early = layers[: strides[-1]]
    assert tiles.margin(early, down=40) * 40 < 0.02 * codec.sample_rate  # seconds that are repeated
    assert codec.sample_rate * 1.1 >= tiles.PIECE / (4 * 64)


@torch.no_grad()
def test_a_norm_over_time_sees_the_whole(tiny_codec, count):
    codec = tiny_codec(norm="time_group_norm").eval()
    codec.decoder(codec.encoder(torch.randn(1, 1, 8000)))
    assert not count


def test_gradients_see_the_whole(tiny_codec, count):
    codec = tiny_codec().eval()
    codec.decoder(codec.encoder(torch.randn(1, 1, 8000))).sum().backward()
    assert not count


@torch.no_grad()
def test_every_kept_value_ignores_the_inner_edges(tiny_codec, count):
    """A click anywhere reaches the same samples whether the signal is cut there or not."""
    codec = tiny_codec(num_residual_layers=2, dilation_base=2).eval()
    for position in range(3000, 3200, 7):
        click = torch.zeros(1, 1, 6000)
        click[..., position] = 1
        expected = codec.encoder.layers(click)
        torch.testing.assert_close(codec.encoder(click), expected, rtol=1e-5, atol=1e-6)


def test_wrong_margin_would_be_seen(tiny_codec, count, monkeypatch):
    """The tests above can fail: without margins the pieces differ from the whole."""
    monkeypatch.setattr(tiles, "margin", lambda layers, down: 0)
    codec = tiny_codec().eval()
    with torch.no_grad():
        latents = torch.randn(1, 6, 400)
        difference = codec.decoder(latents) - codec.decoder.layers(latents)
    assert difference.abs().max() > 1e-3

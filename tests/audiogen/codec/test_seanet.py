import pytest
import torch
from torch import nn

from audiogen.codec.conv import PaddedConv1d, PaddedConvTranspose1d
from audiogen.codec.seanet import Decoder, Encoder, Geometry, ResidualBlock, init_scaled

# Positions and weight shapes of the published codec for sound effects.
ENCODER = {
    "0": (64, 1, 7),
    "1.block.1": (32, 64, 3),
    "1.block.3": (64, 32, 1),
    "3": (128, 64, 4),
    "4.block.1": (64, 128, 3),
    "4.block.3": (128, 64, 1),
    "6": (256, 128, 8),
    "7.block.1": (128, 256, 3),
    "7.block.3": (256, 128, 1),
    "9": (512, 256, 10),
    "10.block.1": (256, 512, 3),
    "10.block.3": (512, 256, 1),
    "12": (1024, 512, 16),
    "15": (128, 1024, 7),
}
DECODER = {
    "0": (1024, 128, 7),
    "3": (1024, 512, 16),
    "4.block.1": (256, 512, 3),
    "4.block.3": (512, 256, 1),
    "6": (512, 256, 10),
    "7.block.1": (128, 256, 3),
    "7.block.3": (256, 128, 1),
    "9": (256, 128, 8),
    "10.block.1": (64, 128, 3),
    "10.block.3": (128, 64, 1),
    "12": (128, 64, 4),
    "13.block.1": (32, 64, 3),
    "13.block.3": (64, 32, 1),
    "15": (1, 64, 7),
}
SMALL = {"dimension": 6, "num_filters": 4, "ratios": (5, 4), "lstm_layers": 1}


def conv_shapes(network: Encoder | Decoder) -> dict[str, tuple[int, ...]]:
    return {
        name.removeprefix("layers."): tuple(module.conv.weight.shape)
        for name, module in network.named_modules()
        if isinstance(module, PaddedConv1d | PaddedConvTranspose1d)
    }


def test_layout_is_the_published_one():
    with torch.device("meta"):
        encoder, decoder = Encoder(Geometry()), Decoder(Geometry())
    assert conv_shapes(encoder) == ENCODER
    assert conv_shapes(decoder) == DECODER
    shapes = {name: tuple(p.shape) for name, p in encoder.named_parameters()}
    assert shapes["layers.13.lstm.weight_hh_l1"] == (4096, 1024)
    assert shapes["layers.12.conv.parametrizations.weight.original0"] == (1024, 1, 1)
    assert decoder.layers[3].conv.parametrizations.weight.original0.shape == (1024, 1, 1)
    count = sum(p.numel() for net in (encoder, decoder) for p in net.parameters())
    assert count == 56_819_138


@pytest.mark.parametrize("length", [1, 19, 20, 21, 400, 401])
@pytest.mark.parametrize("pad_mode", ["constant", "reflect"])
def test_frames_and_samples(length, pad_mode):
    geometry = Geometry(**SMALL, pad_mode=pad_mode)
    frames = -(-length // 20)
    latents = Encoder(geometry)(torch.randn(2, 1, length))
    assert latents.shape == (2, 6, frames)
    assert Decoder(geometry)(latents).shape == (2, 1, frames * 20)


@pytest.mark.parametrize("pad_mode", ["constant", "replicate"])
@pytest.mark.parametrize("lstm_layers", [0, 2])
def test_causal_halves_do_not_look_ahead(lstm_layers, pad_mode):
    torch.manual_seed(0)
    settings = SMALL | {"lstm_layers": lstm_layers, "num_residual_layers": 2}
    geometry = Geometry(**settings, causal=True, pad_mode=pad_mode)
    encoder, decoder = Encoder(geometry), Decoder(geometry)
    x = torch.randn(1, 1, 400)
    changed = x.clone()
    changed[..., 200:] += 3.0
    before, after = encoder(x), encoder(changed)
    torch.testing.assert_close(before[..., :10], after[..., :10], rtol=1e-5, atol=1e-6)
    assert not torch.allclose(before[..., 10], after[..., 10])
    later = before.clone()
    later[..., 10:] += 3.0
    y, z = decoder(before), decoder(later)
    torch.testing.assert_close(y[..., :200], z[..., :200], rtol=1e-5, atol=1e-6)
    assert not torch.allclose(y[..., 200:220], z[..., 200:220])


def test_residual_block_of_zero_weights_is_its_shortcut():
    geometry = Geometry(norm="none")
    block = ResidualBlock(4, dilation=1, geometry=geometry, style=geometry.style(1))
    nn.init.zeros_(block.block[3].conv.weight)
    nn.init.zeros_(block.block[3].conv.bias)
    x = torch.randn(2, 4, 9)
    torch.testing.assert_close(block(x), x, rtol=0, atol=0)


def test_residual_blocks_dilate_by_powers_of_the_base():
    encoder = Encoder(Geometry(**SMALL, num_residual_layers=3, dilation_base=3))
    blocks = [layer for layer in encoder.layers if isinstance(layer, ResidualBlock)]
    assert [block.block[1].dilation for block in blocks] == [1, 3, 9, 1, 3, 9]


def test_true_skip_off_adds_a_convolution():
    encoder = Encoder(Geometry(**SMALL, true_skip=False))
    assert isinstance(encoder.layers[1].shortcut, PaddedConv1d)


def normed(network: Encoder | Decoder) -> list[bool]:
    convs = [m for m in network.layers if isinstance(m, PaddedConv1d | PaddedConvTranspose1d)]
    return [hasattr(module.conv, "parametrizations") for module in convs]


def test_outer_blocks_without_norm_are_those_next_to_the_waveform():
    geometry = Geometry(**SMALL, disable_norm_outer_blocks=2)
    assert normed(Encoder(geometry)) == [False, False, True, True]
    assert normed(Decoder(geometry)) == [True, True, False, False]
    all_off = Geometry(**SMALL, disable_norm_outer_blocks=4)
    assert not any(normed(Encoder(all_off)) + normed(Decoder(all_off)))


def test_final_activation_bounds_the_output():
    decoder = Decoder(Geometry(**SMALL, final_activation="tanh"))
    assert decoder(torch.randn(1, 6, 5) * 1e4).abs().max() <= 1


@pytest.mark.parametrize("norm", ["weight_norm", "none"])
def test_scaled_start_spreads_the_latents_and_torch_does_not(norm):
    """The collapse this prevents: latents so alike that one codebook entry serves them all."""
    torch.manual_seed(0)
    geometry = Geometry(dimension=48, num_filters=8, lstm_layers=0, norm=norm)
    encoder, decoder = Encoder(geometry), Decoder(geometry)
    x = torch.randn(8, 1, 3200) * 0.1
    x *= torch.linspace(0.2, 2.0, 8)[:, None, None]
    before = encoder(x).std(dim=(0, 2)).mean().item()
    init_scaled(encoder, decoder)
    latents = encoder(x)
    after = latents.std(dim=(0, 2)).mean().item()
    assert before < 0.05
    assert 0.2 < after < 3.0
    assert decoder(latents).std() < 0.6
    assert all(p.abs().max() == 0 for name, p in encoder.named_parameters() if "bias" in name)


def test_scaled_start_gives_each_place_its_gain():
    torch.manual_seed(0)
    geometry = Geometry(dimension=48, num_filters=16, ratios=(5, 4), lstm_layers=0)
    encoder, decoder = Encoder(geometry), Decoder(geometry)
    init_scaled(encoder, decoder)

    def gain(conv: PaddedConv1d) -> float:
        weight = conv.conv.weight
        return (weight.std() * (weight.shape[1] * weight.shape[2]) ** 0.5).item()

    blocks = [m for net in (encoder, decoder) for m in net.layers if isinstance(m, ResidualBlock)]
    assert [gain(block.block[3]) for block in blocks] == pytest.approx([0.5] * 4, rel=0.15)
    assert [gain(block.block[1]) for block in blocks] == pytest.approx([1.0] * 4, rel=0.15)
    assert gain(encoder.layers[0]) == pytest.approx(5, rel=0.3)  # 112 weights only
    assert gain(encoder.layers[-1]) == pytest.approx(1, rel=0.1)
    assert gain(decoder.layers[0]) == pytest.approx(1, rel=0.1)
    assert gain(decoder.layers[-1]) == pytest.approx(0.3, rel=0.3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ratios": ()}, "ratios must be strides"),
        ({"ratios": (4, 0)}, "ratios must be strides"),
        ({"num_filters": 0}, "num_filters must be at least 1"),
        ({"num_filters": 2, "compress": 4}, "no channels"),
        ({"disable_norm_outer_blocks": 7}, r"must be in \[0, 6\]"),
    ],
)
def test_impossible_geometry_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        Geometry(**changes)


def test_unknown_activation_is_refused():
    with pytest.raises(ValueError, match="activation must be one of elu"):
        Encoder(Geometry(activation="swishish"))

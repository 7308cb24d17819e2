import math

import pytest
import torch
from torch.nn import functional as F
from torch.nn.utils import parametrize

from audiogen.codec.conv import (
    ConvStyle,
    PaddedConv1d,
    PaddedConvTranspose1d,
    pad_reflect,
    scale_weights,
)

STYLE = ConvStyle()
CAUSAL = ConvStyle(causal=True)


def test_reflect_of_a_short_input_fills_up_with_zeros_first():
    padded = pad_reflect(torch.tensor([[[1.0, 2.0]]]), left=3, right=3)
    assert padded.tolist() == [[[0, 0, 2, 1, 2, 0, 0, 0]]]


def test_reflect_of_a_long_input_is_torch_reflect():
    x = torch.randn(2, 3, 11)
    expected = F.pad(x, (4, 2), mode="reflect")
    torch.testing.assert_close(pad_reflect(x, left=4, right=2), expected, rtol=0, atol=0)


@pytest.mark.parametrize("pad_mode", ["constant", "reflect", "replicate"])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("kernel", "stride", "dilation"), [(7, 1, 1), (3, 1, 4), (10, 5, 1)])
def test_conv_pads_then_convolves(pad_mode, causal, kernel, stride, dilation):
    """Every branch equals explicit padding followed by a plain convolution."""
    style = ConvStyle(causal=causal, pad_mode=pad_mode)
    conv = PaddedConv1d(2, 3, kernel_size=kernel, stride=stride, dilation=dilation, style=style)
    total = (kernel - 1) * dilation + 1 - stride
    right = 0 if causal else total // 2
    for length in (40, 41, 44):
        x = torch.randn(2, 2, length)
        extra = math.ceil(length / stride) * stride - length
        padded = F.pad(x, (total - right, right + extra), mode=pad_mode)
        expected = F.conv1d(padded, conv.conv.weight, conv.conv.bias, stride, 0, dilation)
        torch.testing.assert_close(conv(x), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("length", [1, 2, 4, 5, 6, 319, 320, 321])
@pytest.mark.parametrize("pad_mode", ["constant", "reflect", "replicate"])
def test_frames_are_the_length_over_the_stride_rounded_up(length, pad_mode):
    conv = PaddedConv1d(
        1, 2, kernel_size=10, stride=5, style=ConvStyle(pad_mode=pad_mode, norm="none")
    )
    assert conv(torch.randn(1, 1, length)).shape == (1, 2, math.ceil(length / 5))


def test_odd_stride_pads_and_trims_the_left_more():
    down = PaddedConv1d(1, 1, kernel_size=10, stride=5, style=STYLE)
    up = PaddedConvTranspose1d(1, 1, stride=5, style=STYLE)
    assert (down.pad_left, down.pad_right) == (3, 2)
    assert (up.trim_left, up.trim_right) == (3, 2)


@pytest.mark.parametrize("stride", [2, 5, 8])
@pytest.mark.parametrize(("causal", "ratio"), [(False, 1.0), (True, 1.0), (True, 0.0), (True, 0.3)])
def test_transposed_conv_is_the_full_one_cut_to_length(stride, causal, ratio):
    style = ConvStyle(causal=causal)
    up = PaddedConvTranspose1d(3, 2, stride=stride, style=style, trim_right_ratio=ratio)
    x = torch.randn(2, 3, 7)
    full = F.conv_transpose1d(x, up.conv.weight, up.conv.bias, stride)
    right = math.ceil(stride * ratio) if causal else stride // 2
    expected = full[..., stride - right : full.shape[-1] - right]
    assert expected.shape[-1] == 7 * stride
    torch.testing.assert_close(up(x), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kernel", [1, 3, 7])
def test_causal_conv_does_not_look_ahead(kernel):
    conv = PaddedConv1d(1, 2, kernel_size=kernel, dilation=2, style=CAUSAL)
    x = torch.randn(1, 1, 30)
    changed = x.clone()
    changed[..., 12:] = 9.0
    torch.testing.assert_close(conv(x)[..., :12], conv(changed)[..., :12], rtol=0, atol=0)
    assert not torch.equal(conv(x)[..., 12:], conv(changed)[..., 12:])


def test_group_norm_sees_the_whole_output():
    conv = PaddedConv1d(1, 4, kernel_size=3, style=ConvStyle(norm="time_group_norm"))
    up = PaddedConvTranspose1d(4, 2, stride=5, style=ConvStyle(norm="time_group_norm"))
    y = conv(torch.randn(3, 1, 50) * 7 + 5)
    torch.testing.assert_close(y.mean(dim=(1, 2)), torch.zeros(3), rtol=0, atol=1e-5)
    torch.testing.assert_close(y.square().mean(dim=(1, 2)), torch.ones(3), rtol=1e-3, atol=0)
    full = F.conv_transpose1d(y, up.conv.weight, up.conv.bias, 5)
    expected = F.group_norm(full, 1)[..., 3:-2]
    torch.testing.assert_close(up(y), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("norm", ["weight_norm", "none"])
@pytest.mark.parametrize("gain", [1.0, 0.3])
def test_scaled_weights_keep_the_power_of_white_noise(norm, gain):
    """A sum over fan_in independent terms of variance gain^2 / fan_in has variance gain^2."""
    torch.manual_seed(0)
    style = ConvStyle(norm=norm)
    down = PaddedConv1d(24, 32, kernel_size=10, stride=5, style=style)
    up = PaddedConvTranspose1d(48, 32, stride=5, style=style)
    for conv in (down, up):
        scale_weights(conv, gain=gain)
        y = conv(torch.randn(4, conv.conv.in_channels, 400))[..., 20:-20]
        assert y.std().item() == pytest.approx(gain, rel=0.05)
        assert conv.conv.bias.abs().max() == 0
        assert parametrize.is_parametrized(conv.conv) == (norm == "weight_norm")


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ConvStyle(norm="batch"), "norm must be one of"),
        (lambda: ConvStyle(pad_mode="circular"), "pad_mode must be one of"),
        (lambda: PaddedConv1d(1, 1, kernel_size=2, stride=4, style=STYLE), "below stride 4"),
        (
            lambda: PaddedConvTranspose1d(1, 1, stride=2, style=STYLE, trim_right_ratio=0.5),
            "needs causal=True",
        ),
        (
            lambda: PaddedConvTranspose1d(1, 1, stride=2, style=CAUSAL, trim_right_ratio=1.5),
            r"must be in \[0, 1\]",
        ),
    ],
)
def test_impossible_settings_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()

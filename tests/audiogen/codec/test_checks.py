"""Bad input is named before the work; odd but good input works."""

import copy

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from audiogen.codec import checks
from audiogen.codec.model import Codec
from audiogen.codec.streaming import StreamingDecoder, StreamingEncoder


def damaged(*values: tuple[int, int, float], shape: tuple[int, ...] = (3, 1, 100)) -> torch.Tensor:
    x = torch.zeros(shape)
    for item, sample, value in values:
        x[item, -1, sample] = value
    return x


NAN, INFINITE = torch.nan, torch.inf


@pytest.mark.parametrize(
    ("waveform", "message"),
    [
        (
            damaged((1, 5, NAN)),
            r"1 of 3 items .* of 100 samples each \(item 1: 1 NaN, 0 inf",
        ),
        (
            damaged((0, 5, NAN), (0, 6, NAN), (2, 0, INFINITE), (2, 1, -INFINITE), (2, 2, NAN)),
            r"2 of 3 items .*\(item 0: 2 NaN, 0 infinite; item 2: 1 NaN, 2 infinite\)",
        ),
        (
            damaged(*((item, 0, NAN) for item in range(6)), shape=(6, 1, 50)),
            r"6 of 6 items .*item 2: 1 NaN, 0 infinite; and 3 more items\): repair",
        ),
        (torch.full((1, 1, 1), NAN), "item 0: 1 NaN"),
    ],
)
def test_samples_that_are_not_finite_are_counted_by_item(tiny_codec, waveform, message):
    codec = tiny_codec().eval()
    for call in (codec.encode, codec.encode_latents, codec):
        with pytest.raises(ValueError, match=message):
            call(waveform)


def test_both_channels_are_looked_at(tiny_codec):
    codec = tiny_codec(channels=2).eval()
    with pytest.raises(ValueError, match=r"of 200 samples each \(item 1: 1 NaN"):
        codec.encode(damaged((1, 99, NAN), shape=(3, 2, 100)))


@pytest.mark.parametrize("renormalize", [False, True])
def test_samples_that_overflow_are_named(tiny_codec, renormalize):
    codec = tiny_codec(renormalize=renormalize).eval()
    x = torch.randn(2, 1, 100).clamp(-3, 3)  # which times 1e38 is still finite
    x[1] *= 1e38
    for call in (codec.encode, codec):
        with pytest.raises(ValueError, match=r"item 1 cannot be encoded: its samples reach \d"):
            call(x)


def test_a_codec_with_broken_weights_says_so(tiny_codec):
    codec = tiny_codec().eval()
    next(codec.encoder.parameters()).data.fill_(NAN)
    with pytest.raises(ValueError, match="the codec's weights are not finite"):
        codec.encode(torch.zeros(1, 1, 40))


def test_a_codec_that_decodes_to_nan_says_so(tiny_codec):
    """A direction of zero length has no direction: weight norm makes NaN of finite weights."""
    codec = tiny_codec().eval()
    last = codec.decoder.layers[-1].conv.parametrizations.weight
    last.original1.data[0] = 0
    stream = StreamingDecoder(codec)
    for call in (codec.decode, stream.push):
        with pytest.raises(ValueError, match=r"item 0 decodes to samples that are not finite"):
            call(CODES)
    with pytest.raises(ValueError, match=r"item 0 decodes to samples"):
        codec(torch.zeros(1, 1, 40))


@pytest.mark.parametrize(
    ("waveform", "message"),
    [
        (
            torch.zeros(1, 1, 40).double(),
            r"torch.float32, as the codec is, got torch.float64",
        ),
        (torch.zeros(1, 1, 40).half(), "got torch.float16"),
        (torch.zeros(1, 1, 40, dtype=torch.int16), "got torch.int16: divide integers"),
        (torch.zeros(1, 1, 40, dtype=torch.complex64), "got torch.complex64"),
        (torch.zeros(1, 1, 40, device="meta"), "waveform is on meta and the codec on cpu"),
        (torch.zeros(1, 2, 40), r"of 1 channel\(s\), got shape \[1, 2, 40\]"),
        (torch.zeros(1, 1, 0), r"at least one item and one sample, got shape \[1, 1, 0\]"),
        (torch.zeros(0, 1, 40), "at least one item"),
        (torch.zeros(40), r"got shape \[40\]"),
    ],
)
@pytest.mark.parametrize("training", [True, False])
def test_shapes_and_dtypes_are_refused_in_either_mode(tiny_codec, waveform, message, training):
    codec = tiny_codec().train(training)
    for call in (codec.encode, codec):
        with pytest.raises(ValueError, match=message):
            call(waveform)


@pytest.mark.parametrize(
    ("waveform", "kind"),
    [(np.zeros((1, 1, 40), np.float32), "numpy.ndarray"), ([[[0.0] * 40]], "list"), (None, "None")],
)
@pytest.mark.parametrize("training", [True, False])
def test_what_is_no_tensor_is_refused(tiny_codec, waveform, kind, training):
    codec = tiny_codec().train(training)
    message = rf"expected a torch tensor of samples .* got {kind}.*: make one of it with torch\.as"
    for call in (codec.encode, codec.encode_latents, codec):
        with pytest.raises(ValueError, match=message):
            call(waveform)


def test_codes_scales_and_pieces_of_numpy_are_refused(tiny_codec):
    codec = tiny_codec(renormalize=True).eval()
    with pytest.raises(ValueError, match=r"expected a torch tensor of codes .* numpy\.ndarray"):
        codec.decode(CODES.numpy(), torch.ones(3, 1))
    with pytest.raises(ValueError, match=r"expected a torch tensor of scales .* numpy\.ndarray"):
        codec.decode(CODES, np.ones((3, 1), np.float32))
    with pytest.raises(ValueError, match="expected a torch tensor of codes"):
        StreamingDecoder(tiny_codec().eval()).push(CODES.numpy())
    for empty in (np.zeros((1, 1, 0), np.float32), [[[0.0]]]):
        with pytest.raises(ValueError, match="expected a torch tensor of samples"):
            StreamingEncoder(tiny_codec().eval()).push(empty)


def test_another_dtype_passes_where_the_codec_has_it_or_autocast_converts(tiny_codec):
    waveform = torch.randn(1, 1, 60).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        tiny_codec(lstm_layers=0).eval().encode(waveform)
    like = torch.zeros(1, dtype=torch.bfloat16)
    checks.check_waveform(waveform, channels=1, like=like)
    checks.check_waveform(waveform.float(), channels=1, like=like)


def test_another_rate_is_refused_where_it_is_told(tiny_codec):
    codec = tiny_codec().eval()
    x = torch.randn(1, 1, 100)
    with pytest.raises(ValueError, match="is at 44100 Hz and this codec at 1000 Hz: resample"):
        codec.encode(x, 44100)
    told, _ = codec.encode(x, sample_rate=1000)
    assert torch.equal(told, codec.encode(x)[0])


CODES = torch.zeros(3, 4, 10, dtype=torch.int64)


def with_code(*places: tuple[int, int], value: int) -> torch.Tensor:
    codes = CODES.clone()
    for item, frame in places:
        codes[item, 1, frame] = value
    return codes


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        (
            with_code((1, 3), (1, 4), value=16),
            r"got 0 to 16 \(2 in item 1\): remove special",
        ),
        (with_code((0, 3), (2, 4), value=-1), r"got -1 to 0 \(1 in item 0, 1 in item 2\)"),
        (CODES.repeat(1, 2, 1), "codes have 8 codebooks, this codec was trained with 4"),
        (CODES.to(torch.complex64), "expected integer codes"),
        (CODES[0], r"of shape \[4, 10\]"),
    ],
)
def test_codes_outside_the_codebooks_are_counted_by_item(tiny_codec, codes, message):
    codec = tiny_codec().eval()
    for call in (codec.decode, codec.decode_latents):
        with pytest.raises(ValueError, match=message):
            call(codes)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32, torch.uint16])
def test_codes_of_every_integer_type_decode(tiny_codec, dtype):
    codec = tiny_codec().eval()
    codes = torch.randint(16, (2, 4, 10))
    torch.testing.assert_close(codec.decode(codes.to(dtype)), codec.decode(codes), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("scale", "message"),
    [
        (None, r"renormalize=True.*give decode\(\) the scale that encode\(\) returned"),
        (torch.ones(3), r"scale \[B, 1\] of 3 item\(s\), got torch.float32 of shape \[3\]"),
        (torch.ones(2, 1), r"of shape \[2, 1\]"),
        (torch.ones(3, 1, dtype=torch.int64), "got torch.int64"),
        (torch.tensor([[1.0], [0.0], [1.0]]), "above 0, got 0.0 for item 1"),
        (torch.tensor([[1.0], [1.0], [NAN]]), "above 0, got nan for item 2"),
        (torch.tensor([[-1.0], [1.0], [1.0]]), "above 0, got -1.0 for item 0"),
    ],
)
def test_scales_that_are_refused(tiny_codec, scale, message):
    with pytest.raises(ValueError, match=message):
        tiny_codec(renormalize=True).eval().decode(CODES, scale)


def test_a_scale_that_nobody_asked_for_is_refused(tiny_codec):
    with pytest.raises(ValueError, match=r"renormalize=False.*leave it out"):
        tiny_codec().eval().decode(CODES, torch.ones(3, 1))


@pytest.mark.parametrize("samples", [1, 2, 19, 20, 21, 39, 41])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"pad_mode": "reflect"},
        {"pad_mode": "replicate"},
        {"causal": True, "pad_mode": "reflect"},
        {"renormalize": True},
        {"lstm_layers": 1, "num_residual_layers": 3},
    ],
)
def test_any_length_from_one_sample_on(tiny_codec, samples, changes):
    codec = tiny_codec(**changes).eval()
    x = torch.randn(2, 1, samples)
    codes, scale = codec.encode(x)
    frames = -(-samples // 20)
    assert codes.shape == (2, 4, frames)
    decoded = codec.decode(codes, scale)
    assert decoded.shape == (2, 1, 20 * frames)
    assert decoded.isfinite().all()
    assert codec(x).waveform.shape == x.shape
    alone = torch.cat([codec.encode(item[None])[0] for item in x])
    assert torch.equal(alone, codes)


def test_silence_is_a_sound(tiny_codec):
    for renormalize in (False, True):
        codec = tiny_codec(renormalize=renormalize).eval()
        codes, scale = codec.encode(torch.zeros(1, 1, 100))
        assert codec.decode(codes, scale).isfinite().all()


def test_training_steps_look_at_no_value():
    """A fake tensor has none: what would make a GPU wait for one raises instead."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        codec = Codec(
            sample_rate=1000,
            dimension=6,
            num_filters=2,
            ratios=[5, 4],
            codebook_size=16,
            kmeans_init=False,
        )
        x = torch.randn(2, 1, 100)
        assert codec.train()(x).waveform.shape == x.shape
        with pytest.raises(DataDependentOutputException):
            codec.eval()(x)
        with pytest.raises(DataDependentOutputException):
            codec.encode(x)


def test_a_nan_in_training_teaches_the_codebooks_nothing(tiny_codec):
    """It shows in the output, where the balancer refuses it."""
    codec = tiny_codec(kmeans_init=False).train()
    before = copy.deepcopy(codec.quantizer.state_dict())
    output = codec(damaged((1, 5, NAN)))
    assert output.waveform.isnan().any()
    assert output.commitment_loss.isnan()
    for name, value in codec.quantizer.state_dict().items():
        if name != "_extra_state":
            torch.testing.assert_close(value, before[name], rtol=1e-5, atol=1e-6)

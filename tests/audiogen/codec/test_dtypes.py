"""A codec in another dtype than float32: it encodes and decodes, and refuses to learn."""

import pytest
import torch

from audiogen.codec.fast import accelerate
from audiogen.codec.quantizer import ResidualVectorQuantizer
from audiogen.codec.streaming import StreamingDecoder, StreamingEncoder

DTYPES = [torch.float64, torch.bfloat16, torch.float16]
CHANGES = [{}, {"renormalize": True}, {"lstm_layers": 1, "pad_mode": "reflect"}]


@pytest.fixture
def sound():
    return 0.3 * torch.randn(2, 1, 205, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("changes", CHANGES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_encode_decode_and_forward(tiny_codec, sound, dtype, changes):
    """The codes are those that float32 arithmetic, or better, chooses for the codec's latents."""
    codec = tiny_codec(**changes).eval().to(dtype)
    for waveform in (sound, sound.to(dtype)):
        codes, scale = codec.encode(waveform)
        latents, _ = codec.encode_latents(waveform)
        decoded = codec.decode(codes, scale)
        output = codec(waveform)
        assert latents.dtype == decoded.dtype == output.waveform.dtype == dtype
        assert torch.equal(codes, output.codes)
        wide = torch.float64 if dtype == torch.float64 else torch.float32
        assert scale is None or scale.dtype == wide
        exact = tiny_codec(**changes).to(torch.float64).quantizer
        exact.load_state_dict(codec.quantizer.state_dict())
        assert torch.equal(exact.encode(latents.double()), codes)
        assert output.commitment_loss.dtype == wide


def test_float64_is_near_float32_and_is_not_rounded_to_it(tiny_codec, sound):
    codec = tiny_codec(lstm_layers=1).eval()
    with torch.no_grad():
        codes, _ = codec.encode(sound)
        single = codec.decode(codes)
        double = codec.double().decode(codes)
        assert torch.equal(codec.encode(sound.double())[0], codes)
    torch.testing.assert_close(double.float(), single, rtol=1e-4, atol=1e-6)
    assert not torch.equal(double.float().double(), double)
    torch.testing.assert_close(
        codec.quantizer(codec.encoder(sound.double())).latents,
        codec.quantizer.decode(codes),
        rtol=1e-12,
        atol=1e-12,
    )


@pytest.mark.parametrize("dtype", DTYPES)
def test_silence_has_a_loudness(tiny_codec, dtype):
    codec = tiny_codec(renormalize=True).eval().to(dtype)
    codes, scale = codec.encode(torch.zeros(1, 1, 100, dtype=dtype))
    assert (scale > 0).all()
    assert codec.decode(codes, scale).isfinite().all()


@pytest.mark.parametrize("changes", CHANGES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_streams(tiny_codec, sound, dtype, changes):
    codec = tiny_codec(**changes).eval().to(dtype)
    codes, scale = codec.encode(sound)
    encoder, decoder = StreamingEncoder(codec, scale=scale), StreamingDecoder(codec, scale=scale)
    pieces = [*(encoder.push(part) for part in sound.split(60, dim=-1)), encoder.finish()]
    if dtype == torch.float64:
        assert torch.equal(torch.cat(pieces, dim=-1), codes)
    parts = [*(decoder.push(piece) for piece in pieces), decoder.finish()]
    assert {part.dtype for part in parts} == {dtype}
    assert torch.cat(parts, dim=-1).shape == codec.decode(codes, scale).shape


def test_a_waveform_of_a_third_dtype_is_refused(tiny_codec, sound):
    codec = tiny_codec().eval().bfloat16()
    for dtype in (torch.float64, torch.float16):
        with pytest.raises(ValueError, match=rf"of torch.bfloat16, as the codec is, got {dtype}"):
            codec.encode(sound.to(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_learning_is_refused(tiny_codec, sound, dtype):
    codec = tiny_codec().to(dtype).train()
    with pytest.raises(ValueError, match=rf"learn in torch.float32, these are {dtype}: call"):
        codec(sound)
    codec.float()(sound)


def test_a_fast_codec_is_made_from_float32(tiny_codec):
    with pytest.raises(ValueError, match=r"from a float32 one, got torch.bfloat16"):
        accelerate(tiny_codec().eval().bfloat16(), lstm="bfloat16")


def test_float32_is_not_copied():
    """What has the dtype already is handed on, entries included."""
    rvq = ResidualVectorQuantizer(dim=4, num_codebooks=2, codebook_size=8).eval()
    book = rvq.codebooks[0]
    seen = []

    class Spy(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            seen.append(str(func))
            return func(*args, **(kwargs or {}))

    latents = torch.randn(5, 4)
    with Spy():
        book.encode(latents)
        rvq(latents.t()[None])
    assert not [name for name in seen if "_to_copy" in name]


@pytest.mark.parametrize("count", [1.5, True, 2.0, "2", None, float("nan")])
def test_codebooks_are_counted_in_whole_numbers(tiny_codec, count):
    codec = tiny_codec()
    with pytest.raises(ValueError, match=r"num_codebooks must be in \[1, 4\], got .*parts of one"):
        codec.set_num_codebooks(count)
    assert codec.num_codebooks == 4

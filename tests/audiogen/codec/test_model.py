import copy
import io
import json
import math

import numpy as np
import pytest
import torch

from audiogen.codec.model import Codec


@pytest.mark.parametrize("case", ["codec_causal", "codec_renorm", "codec_nq8"])
def test_matches_golden(golden, make_codec, case):
    codec, (expected, _) = make_codec(case), golden(case)
    x = expected["x1"]
    with torch.no_grad():
        codes, scale = codec.encode(x)
        output = codec(x)
        latents, _ = codec.encode_latents(x)
        decoded = codec.decode(expected["codes1"], scale)
    assert torch.equal(codes, expected["codes1"])
    assert torch.equal(output.codes, codes)
    close = {"rtol": 1e-4, "atol": 1e-5}
    torch.testing.assert_close(latents, expected["latent1"], **close)
    torch.testing.assert_close(output.waveform, expected["forward1"], **close)
    torch.testing.assert_close(decoded, expected["decoded1"], **close)
    assert output.bandwidth == pytest.approx(expected["bandwidth1"].item())
    if scale is None:
        assert "scale1" not in expected
    else:
        torch.testing.assert_close(scale, expected["scale1"], **close)


@pytest.mark.parametrize("case", ["codec_base", "codec_causal", "codec_renorm", "codec_nq8"])
def test_matches_every_reference_length(reference_folder, make_codec, case):
    codec = make_codec(case)
    expected = {
        k: torch.from_numpy(v) for k, v in np.load(reference_folder / f"{case}.npz").items()
    }
    close = {"rtol": 1e-4, "atol": 1e-5}
    for i in range(len(expected["lengths"])):
        with torch.no_grad():
            codes, scale = codec.encode(expected[f"x{i}"])
            decoded = codec.decode(codes, scale)
            quantized = codec.decode_latents(codes)
        assert torch.equal(codes, expected[f"codes{i}"])
        torch.testing.assert_close(quantized, expected[f"qlatent{i}"], **close)
        torch.testing.assert_close(decoded, expected[f"decoded{i}"], **close)
    assert codec.frame_rate == expected["frame_rate"]
    assert codec.hop_length == expected["hop"]


@pytest.mark.parametrize(
    ("samples", "frames"), [(1, 1), (319, 1), (320, 1), (321, 2), (16000, 50), (16001, 51)]
)
def test_frame_arithmetic(samples, frames):
    codec = Codec(dimension=4, num_filters=2, lstm_layers=0, codebook_size=8).eval()
    assert (codec.hop_length, codec.frame_rate) == (320, 50)
    x = torch.randn(1, 1, samples)
    codes, scale = codec.encode(x)
    assert codes.shape == (1, 4, frames)
    assert codes.dtype == torch.int64
    assert scale is None
    assert codec.decode(codes).shape == (1, 1, frames * 320)
    assert codec(x).waveform.shape == x.shape


def test_stereo(tiny_codec):
    codec = tiny_codec(channels=2)
    assert codec(torch.randn(3, 2, 55)).waveform.shape == (3, 2, 55)


def test_bandwidth_in_kbit_per_second():
    codec = Codec(dimension=4, num_filters=2, lstm_layers=0)
    assert codec.eval()(torch.randn(1, 1, 320)).bandwidth == pytest.approx(2.2)


def test_frame_rate_of_a_hop_that_does_not_divide(tiny_codec):
    codec = tiny_codec(sample_rate=1010)
    assert codec.frame_rate == pytest.approx(50.5)
    assert isinstance(tiny_codec().frame_rate, int)
    with pytest.raises(ValueError, match="counts the whole frames of a second, and here are none"):
        tiny_codec(sample_rate=10, paper_exact=True)


def test_paper_exact_is_one_switch(tiny_codec):
    """Into every codebook, the frame rate and the config; a trained codec codes the same."""
    ours = tiny_codec(sample_rate=1010, kmeans_init=False).eval()
    theirs = Codec(**(ours.config | {"paper_exact": True})).eval()
    theirs.load_state_dict(ours.state_dict())
    assert (ours.paper_exact, theirs.paper_exact) == (False, True)
    assert all(book.paper_exact for book in theirs.quantizer.codebooks)
    assert theirs.frame_rate == 50  # the sample rate over the hop, without the remainder
    assert Codec(**theirs.config).paper_exact
    x = torch.randn(2, 1, 301)
    codes, _ = ours.encode(x)
    assert torch.equal(theirs.encode(x)[0], codes)
    torch.testing.assert_close(theirs.decode(codes), ours.decode(codes), rtol=0, atol=0)
    assert theirs(x).bandwidth == pytest.approx(4 * 4 * 50 / 1000)
    # Only in training they part: here one step, from the same entries, with every entry dead.
    for codec in (ours, theirs):
        for book in codec.quantizer.codebooks:
            book.dead_code_threshold, book.dead_code_unit = 1000.0, "count"
        codec.train()(x)
    assert ours.quantizer.restarts.tolist() == [16] * 4
    assert theirs.quantizer.restarts.tolist() == [0] * 4


def test_config_survives_json_and_rebuilds(tiny_codec):
    codec = tiny_codec(
        ratios=(5, 4),
        activation="leaky_relu",
        activation_params={"negative_slope": 0.3},
        decoder_overrides={"num_filters": 4, "final_activation": "tanh"},
    )
    config = json.loads(json.dumps(codec.config))
    rebuilt = Codec(**config)
    rebuilt.load_state_dict(codec.state_dict())
    assert rebuilt.config == codec.config
    assert rebuilt.fingerprint() == codec.fingerprint()
    x = torch.randn(1, 1, 100)
    torch.testing.assert_close(rebuilt.eval()(x).waveform, codec.eval()(x).waveform)


def test_every_keyword_of_activations_and_norms_is_used(tiny_codec):
    codec = tiny_codec(
        norm="time_group_norm",
        norm_params={"eps": 0.25, "affine": False},
        activation="LeakyReLU",
        activation_params={"negative_slope": 0.3},
        final_activation="Hardtanh",
        final_activation_params={"max_val": 0.5},
        encoder_overrides={"ratios": [2, 10], "activation": "elu", "activation_params": None},
    )
    assert codec.encoder.layers[0].norm.eps == 0.25
    assert codec.encoder.layers[0].norm.weight is None
    assert isinstance(codec.encoder.layers[1].block[0], torch.nn.ELU)
    assert codec.decoder.layers[1].negative_slope == 0.3
    assert codec.decoder.layers[-1].max_val == 0.5
    assert codec(torch.randn(1, 1, 61)).codes.shape[-1] == 4


def test_config_is_a_copy(tiny_codec):
    codec = tiny_codec()
    codec.config["ratios"].append(7)
    codec.config["dimension"] = 1
    assert codec.config["ratios"] == [5, 4]
    assert codec.config["dimension"] == 6


def test_deep_copies_train_apart(tiny_codec):
    codec = tiny_codec()
    x = torch.randn(4, 1, 100)
    clone = copy.deepcopy(codec)
    before = codec.fingerprint()
    clone(x).waveform.sum().backward()
    assert codec.fingerprint() == before
    assert all(p.grad is None for p in codec.parameters())
    torch.testing.assert_close(clone.eval()(x).waveform, clone(x).waveform)


def test_state_dict_loads_without_pickle(tiny_codec):
    codec = tiny_codec()
    codec(torch.randn(4, 1, 100))
    file = io.BytesIO()
    torch.save(codec.state_dict(), file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    assert all(isinstance(value, torch.Tensor) for value in state.values())
    rebuilt = tiny_codec()
    rebuilt.load_state_dict(state)
    assert rebuilt.fingerprint() == codec.fingerprint()


def test_learns_in_a_few_steps(tiny_codec):
    """Reconstruction of a tone beats silence after a short training, through the quantizer."""
    torch.manual_seed(0)
    codec = tiny_codec(num_filters=4, decay=0.9)
    time = torch.arange(400) / 1000
    optimizer = torch.optim.Adam(codec.parameters(), lr=5e-3)
    for step in range(120):
        phase = torch.rand(8, 1, 1, generator=torch.Generator().manual_seed(step)) * 6.28
        x = 0.5 * torch.sin(2 * math.pi * 40 * time + phase)
        codec.quantizer.bypass = step < 30
        output = codec(x)
        loss = (output.waveform - x).square().mean() + 0.25 * output.commitment_loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    codec.eval()
    codes, _ = codec.encode(x)
    error = (codec.decode(codes)[..., :400] - x).square().mean() / x.square().mean()
    assert error < 0.5
    assert codec.quantizer.usage()["perplexity"][0] > 2


def test_fewer_codebooks(tiny_codec):
    codec = tiny_codec().eval()
    x = torch.randn(2, 1, 200)
    codes, _ = codec.encode(x)
    full = codec(x).bandwidth
    codec.set_num_codebooks(2)
    assert codec.num_codebooks == 2
    assert codec.total_codebooks == 4
    assert torch.equal(codec.encode(x)[0], codes[:, :2])
    assert codec(x).codes.shape == (2, 2, 10)
    assert codec(x).bandwidth == full / 2
    assert codec.decode(codes).shape == codec.decode(codes[:, :1]).shape


def test_fewer_codebooks_match_the_reference(reference_folder, make_codec):
    codec = make_codec("codec_nq8")
    expected = np.load(reference_folder / "codec_nq8.npz")
    codec.set_num_codebooks(2)
    with torch.no_grad():
        codes, _ = codec.encode(torch.from_numpy(expected["x0"]))
        decoded = codec.decode(codes)
    assert np.array_equal(codes, expected["codes0_nq2"])
    np.testing.assert_allclose(decoded, expected["decoded0_nq2"], rtol=1e-4, atol=1e-5)


def test_renormalize_hears_no_loudness(tiny_codec):
    codec = tiny_codec(renormalize=True).eval()
    x = torch.randn(2, 1, 200) * 0.1
    codes, scale = codec.encode(x)
    loud_codes, loud_scale = codec.encode(4 * x)
    assert torch.equal(codes, loud_codes)
    torch.testing.assert_close(loud_scale, 4 * scale)
    torch.testing.assert_close(scale[:, 0], x.square().mean(dim=(1, 2)).sqrt())
    torch.testing.assert_close(codec.decode(codes, loud_scale), 4 * codec.decode(codes, scale))
    silent, silent_scale = codec.encode(torch.zeros(1, 1, 200))
    assert codec.decode(silent, silent_scale).isfinite().all()


def test_causal_codes_do_not_look_ahead(tiny_codec):
    codec = tiny_codec(causal=True, lstm_layers=1).eval()
    x = torch.randn(1, 1, 400)
    changed = x.clone()
    changed[..., 200:] = 0.7
    codes, later = codec.encode(x)[0], codec.encode(changed)[0]
    assert torch.equal(codes[..., :10], later[..., :10])
    assert not torch.equal(codes[..., 10:], later[..., 10:])
    sound, cut = codec.decode(codes), codec.decode(codes[..., :10])
    torch.testing.assert_close(sound[..., :200], cut, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("waveform", "message"),
    [
        (torch.zeros(1, 100), r"expected a waveform \[B, C, T\] of 1 channel"),
        (torch.zeros(1, 2, 100), r"got shape \[1, 2, 100\]"),
        (torch.zeros(1, 1, 0), "at least one item and one sample"),
        (torch.zeros(0, 1, 100), "at least one item and one sample"),
        (torch.zeros(1, 1, 100, dtype=torch.int16), "got torch.int16: divide integers"),
    ],
)
def test_waveforms_that_are_refused(tiny_codec, waveform, message):
    codec = tiny_codec()
    for call in (codec, codec.encode):
        with pytest.raises(ValueError, match=message):
            call(waveform)


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        (torch.zeros(4, 10, dtype=torch.int64), r"expected integer codes \[B, K, T\]"),
        (torch.zeros(1, 4, 10), "got torch.float32"),
        (torch.zeros(1, 4, 10, dtype=torch.bool), "got torch.bool"),
        (torch.zeros(1, 5, 10, dtype=torch.int64), "codes have 5 codebooks.*trained with 4"),
        (torch.zeros(1, 4, 0, dtype=torch.int64), "at least one item, codebook and frame"),
        (torch.full((1, 4, 10), 16), r"codes must be in \[0, 16\), got 16 to 16"),
        (torch.full((1, 4, 10), -1), r"codes must be in \[0, 16\), got -1 to -1"),
    ],
)
def test_codes_that_are_refused(tiny_codec, codes, message):
    with pytest.raises(ValueError, match=message):
        tiny_codec().decode(codes)


def test_small_integer_codes_decode_like_large_ones(tiny_codec):
    """Token shards hold uint16; memory-mapped ones arrive as int32 or int64."""
    codec = tiny_codec().eval()
    codes = torch.randint(16, (1, 4, 10))
    torch.testing.assert_close(codec.decode(codes.int()), codec.decode(codes), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sample_rate": 0}, "sample_rate must be a positive number"),
        ({"init": "zeros"}, "init must be 'pytorch' or 'scaled'"),
        ({"causal": True, "renormalize": True}, "cannot be causal"),
        ({"causal": True, "norm": "time_group_norm"}, "cannot be causal"),
        (
            {"causal": True, "decoder_overrides": {"norm": "time_group_norm"}},
            "cannot be causal",
        ),
        (
            {"encoder_overrides": {"ratios": [2]}},
            r"cannot override ratios \[5, 4\] by \[2\] in one",
        ),
        ({"encoder_overrides": {"dimension": 2}}, "cannot override dimension in one half"),
        ({"decoder_overrides": {"filters": 2}}, "cannot override filters"),
    ],
)
def test_impossible_settings_are_refused(tiny_codec, changes, message):
    with pytest.raises(ValueError, match=message):
        tiny_codec(**changes)


@pytest.mark.parametrize("num_codebooks", [0, 5])
def test_number_of_codebooks_is_bounded(tiny_codec, num_codebooks):
    with pytest.raises(ValueError, match=r"must be in \[1, 4\]"):
        tiny_codec().set_num_codebooks(num_codebooks)

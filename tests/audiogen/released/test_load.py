"""Published codecs: what they compute comes back, whatever they were built with."""

import pytest
import torch

from audiogen.codec.model import Codec
from audiogen.model_folder.layout import CheckpointError
from audiogen.released import export_released, load_released

# One odd thing or several at a time; __ is a dot.
ODD = {
    "plain": {},
    "stereo renormalized": {"channels": 2, "encodec__renormalize": True},
    "causal, trimmed on both sides": {
        "encodec__causal": True,
        "seanet__pad_mode": "reflect",
        "seanet__decoder__trim_right_ratio": 0.5,
        "seanet__ratios": [5, 3],
    },
    "causal, replicate": {"encodec__causal": True, "seanet__pad_mode": "replicate"},
    "spectral norm": {"seanet__norm": "spectral_norm"},
    "no norm": {"seanet__norm": "none", "seanet__lstm": 0},
    "group norm": {
        "seanet__norm": "time_group_norm",
        "seanet__norm_params": {"eps": 0.1},
        "seanet__pad_mode": "reflect",
    },
    "group norm without weights": {
        "seanet__norm": "time_group_norm",
        "seanet__norm_params": {"affine": False},
    },
    "norms off outside": {"seanet__disable_norm_outer_blocks": 2, "seanet__true_skip": False},
    "norms off everywhere": {"seanet__disable_norm_outer_blocks": 4},
    "three residual layers": {
        "seanet__n_residual_layers": 3,
        "seanet__dilation_base": 3,
        "seanet__residual_kernel_size": 5,
        "seanet__pad_mode": "reflect",
    },
    "kernels": {
        "seanet__kernel_size": 5,
        "seanet__last_kernel_size": 3,
        "seanet__n_filters": 8,
        "seanet__compress": 4,
        "seanet__lstm": 2,
    },
    "even kernels": {"seanet__kernel_size": 6, "seanet__last_kernel_size": 4},
    "leaky, bounded": {
        "seanet__activation": "LeakyReLU",
        "seanet__activation_params": {"negative_slope": 0.3},
        "seanet__decoder__final_activation": "Hardtanh",
        "seanet__decoder__final_activation_params": {"max_val": 0.02},
    },
    "learned activation": {"seanet__activation": "PReLU", "seanet__activation_params": {}},
    "halves apart": {
        "seanet__encoder": {
            "lstm": 0,
            "n_filters": 3,
            "activation": "GELU",
            "activation_params": {},
        },
        "seanet__decoder": {
            "trim_right_ratio": 1.0,
            "final_activation": "Tanh",
            "final_activation_params": {},
            "n_residual_layers": 2,
            "pad_mode": "reflect",
            "norm": "none",
        },
    },
    "strides apart": {"seanet__encoder": {"ratios": [2, 10]}},
    "other sizes": {
        "seanet__ratios": [2, 3, 4],
        "sample_rate": 24000,
        "rvq__n_q": 5,
        "rvq__bins": 10,
        "rvq__q_dropout": True,
        "seanet__dimension": 9,
    },
    "stride of one": {"seanet__ratios": [4, 1]},
}


@pytest.mark.parametrize("case", ODD)
def test_codes_and_sound_are_those_of_the_plain_codec(plain, config, publish, case):
    tree = config(**ODD[case])
    reference = plain(tree)
    codec = load_released(publish(reference.state_dict(), tree))
    assert not codec.training
    assert codec.hop_length == torch.tensor(tree["seanet"]["ratios"]).prod()
    for length in (1, 19, 20, 21, 401):
        x = 0.3 * torch.randn(2, tree["channels"], length)
        with torch.no_grad():
            expected, expected_scale = reference.encode(x)
            codes, scale = codec.encode(x)
            sound = codec.decode(codes, scale)
            wanted = reference.decode(expected, expected_scale)
        assert torch.equal(codes, expected)
        torch.testing.assert_close(scale, expected_scale)
        torch.testing.assert_close(sound, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("case", ODD)
def test_what_is_exported_again_is_what_was_published(plain, config, publish, tmp_path, case):
    """Tensors by name and bit; the configuration as another reader resolves it."""
    from omegaconf import OmegaConf

    tree = config(**ODD[case])
    state = plain(tree).state_dict()
    codec = load_released(publish(state, tree))
    path = export_released(codec, tmp_path / "again")
    package = torch.load(path, weights_only=True)
    assert package["best_state"].keys() == state.keys()
    assert all(torch.equal(package["best_state"][key], state[key]) for key in state)
    assert all(value.dtype == torch.float32 for value in package["best_state"].values())
    assert package["exported"] is True
    theirs, ours = OmegaConf.create(tree), OmegaConf.create(package["xp.cfg"])
    assert "audiogen" not in ours  # everything has a published name
    for key in ("sample_rate", "channels", "compression_model", "solver"):
        assert ours[key] == theirs[key]
    for part in ("encodec", "rvq"):
        assert OmegaConf.to_container(ours[part], resolve=True) == OmegaConf.to_container(
            theirs[part], resolve=True
        )
    for half in ("encoder", "decoder"):
        assert effective(ours, half) == effective(theirs, half)
    assert load_released(path).fingerprint() == codec.fingerprint()


def effective(config, half):
    """What one half of the network is built with."""
    from omegaconf import OmegaConf

    tree = OmegaConf.to_container(config.seanet, resolve=True)
    halves = {name: tree.pop(name) for name in ("encoder", "decoder")}
    merged = {**tree, **halves[half]}
    return {
        key: {} if value is None and "params" in key else value for key, value in merged.items()
    }


def test_ours_goes_out_and_comes_back(tmp_path):
    """Keywords without a published name travel along, so that even the fingerprint stays."""
    codec = Codec(
        num_filters=2,
        dimension=4,
        ratios=[4, 2],
        codebook_size=8,
        lstm_layers=0,
        init="scaled",
        dead_code_threshold=0.25,
        decoder_overrides={"num_filters": 3},
    )
    codec(torch.randn(2, 1, 300))  # k-means, averages
    back = load_released(export_released(codec, tmp_path / "out.bin"))
    assert back.config == codec.config
    assert back.fingerprint() == codec.fingerprint()
    package = torch.load(tmp_path / "out.bin", weights_only=True)
    assert "dead_code_unit: mean" in package["xp.cfg"]
    counts = [book.cluster_size.mean().item() for book in codec.quantizer.codebooks]
    import yaml

    written = yaml.safe_load(package["xp.cfg"])["rvq"]["threshold_ema_dead_code"]
    assert written == pytest.approx(0.25 * sum(counts) / len(counts), rel=1e-5)


def test_a_loaded_codec_learns_on(plain, config, publish):
    tree = config(rvq__decay=0.9, rvq__kmeans_iters=7, rvq__threshold_ema_dead_code=3)
    codec = load_released(publish(plain(tree).state_dict(), tree)).train()
    kept = ("decay", "kmeans_iters", "dead_code_threshold", "dead_code_unit", "kmeans_init")
    assert [codec.config[name] for name in kept] == [0.9, 7, 3, "count", True]
    assert all(book.is_inited for book in codec.quantizer.codebooks)
    before = codec.quantizer.codebooks[0].embed.clone()
    output = codec(torch.randn(2, 1, 400))
    (output.waveform.square().mean() + output.commitment_loss).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in codec.encoder.parameters())
    assert not torch.equal(codec.quantizer.codebooks[0].embed, before)
    assert codec.quantizer.restarts.sum() > 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_any_float_type_becomes_float32(plain, config, publish, dtype):
    state = {key: value.to(dtype) for key, value in plain(config()).state_dict().items()}
    codec = load_released(publish(state))
    assert {value.dtype for value in codec.parameters()} == {torch.float32}
    assert torch.equal(
        codec.quantizer.codebooks[0].embed,
        state["quantizer.vq.layers.0._codebook.embed"].float(),
    )


def test_half_precision_is_written_on_request(publish, tmp_path):
    codec = load_released(publish())
    path = export_released(codec, tmp_path / "half.bin", dtype=torch.float16)
    state = torch.load(path, weights_only=True)["best_state"]
    assert {value.dtype for value in state.values()} == {torch.float16}
    again = load_released(path)
    torch.testing.assert_close(
        again.encoder.layers[0].conv.bias, codec.encoder.layers[0].conv.bias, rtol=1e-3, atol=0
    )


def test_newer_names_of_weight_norm_are_taken_too(plain, config, publish):
    state = plain(config()).state_dict()
    renamed = {
        key.replace("weight_g", "parametrizations.weight.original0").replace(
            "weight_v", "parametrizations.weight.original1"
        ): value
        for key, value in state.items()
    }
    expected = load_released(publish(state)).fingerprint()
    assert load_released(publish(renamed)).fingerprint() == expected


@pytest.mark.parametrize("kind", ["mapping", "omegaconf"])
def test_a_configuration_that_is_no_text(publish, xp_cfg, kind):
    """As the first releases may have it."""
    import yaml
    from omegaconf import OmegaConf

    value = yaml.safe_load(xp_cfg) if kind == "mapping" else OmegaConf.create(xp_cfg)
    expected = load_released(publish()).fingerprint()
    assert load_released(publish(**{"xp.cfg": value})).fingerprint() == expected


def test_several_threads_load_at_once(publish, xp_cfg):
    from concurrent.futures import ThreadPoolExecutor

    from omegaconf import OmegaConf

    path = publish(**{"xp.cfg": OmegaConf.create(xp_cfg)})
    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(lambda _: load_released(path).fingerprint(), range(12)))
    assert len(found) == 1


def test_a_folder_and_a_file_are_the_same(publish, tmp_path):
    path = publish(name="compression_state_dict.bin")
    assert load_released(tmp_path).fingerprint() == load_released(str(path)).fingerprint()


def test_the_file_may_vanish_after_loading(publish):
    path = publish()
    codec = load_released(path)
    before = codec.fingerprint()
    path.write_bytes(b"\0" * path.stat().st_size)
    assert codec.fingerprint() == before


def test_loading_draws_nothing_from_the_global_stream(publish):
    path = publish()
    before = torch.get_rng_state()
    load_released(path)
    assert torch.equal(torch.get_rng_state(), before)


def test_every_difference_is_listed_at_once(plain, config, publish):
    state = dict(plain(config()).state_dict())
    del state["encoder.model.0.conv.conv.bias"]
    state["decoder.model.99.conv.conv.bias"] = torch.zeros(3)
    state["quantizer.vq.layers.0._codebook.embed"] = torch.zeros(5, 6)
    state["quantizer.vq.layers.1._codebook.embed"] = torch.zeros(16, 6, dtype=torch.int64)
    path = publish(state)
    with pytest.raises(CheckpointError) as caught:
        load_released(path)
    for part in (
        str(path),
        "missing: encoder.model.0.conv.conv.bias",
        "unexpected: decoder.model.99.conv.conv.bias",
        "mis-shaped: quantizer.vq.layers.0._codebook.embed [5, 6] instead of [16, 6]",
        "not floating point: quantizer.vq.layers.1._codebook.embed torch.int64",
    ):
        assert part in str(caught.value)


def test_weights_that_are_no_numbers_are_named(plain, config, publish):
    state = dict(plain(config()).state_dict())
    state["encoder.model.0.conv.conv.bias"] = torch.full((2,), float("nan"))
    with pytest.raises(CheckpointError, match=r"not finite: encoder.model.0.conv.conv.bias\."):
        load_released(publish(state))


@pytest.mark.parametrize("key", ["rvq__n_q", "seanet__lstm", "seanet__n_residual_layers"])
def test_a_codec_that_would_take_hours_to_build_is_refused_at_once(plain, config, publish, key):
    state = plain(config()).state_dict()
    path = publish(state, config(**{key: 10**15}))
    with pytest.raises(CheckpointError, match=r"holds \d+ tensors.* 1000000000000000: they are of"):
        load_released(path)

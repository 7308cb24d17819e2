"""EnCodec models of transformers: equal codes and sound."""

import json
import logging

import pytest
import torch
from safetensors.torch import load_file, save_file

from audiogen.checkpoint import load_codec
from audiogen.codec.model import Codec
from audiogen.model_folder.layout import CheckpointError
from audiogen.released import export_released, load_released
from audiogen.released.transformers_folder import KEYS, OTHERS, load_encodec_folder

SMALL = {
    "hidden_size": 6,
    "num_filters": 2,
    "upsampling_ratios": [5, 4],
    "num_lstm_layers": 1,
    "codebook_size": 16,
    "sampling_rate": 2000,
    "target_bandwidths": [0.4, 0.8, 1.2],
}
CASES = {
    "as the 24 kHz model": {},
    "as the 48 kHz model": {
        "audio_channels": 2,
        "normalize": True,
        "use_causal_conv": False,
        "norm_type": "time_group_norm",
    },
    "not causal": {"use_causal_conv": False, "pad_mode": "constant"},
    "causal and normalized": {"normalize": True, "audio_channels": 2},
    "causal with a group norm": {"norm_type": "time_group_norm"},
    "identity shortcuts": {"use_conv_shortcut": False, "num_residual_layers": 2},
    "trimmed on both sides": {"trim_right_ratio": 0.5, "upsampling_ratios": [3, 5]},
    "odd sizes": {
        "kernel_size": 5,
        "last_kernel_size": 3,
        "residual_kernel_size": 5,
        "dilation_growth_rate": 3,
        "num_residual_layers": 2,
        "compress": 1,
        "num_lstm_layers": 2,
        "upsampling_ratios": [2, 3, 4],
    },
    "no residual layers, replicate": {"num_residual_layers": 0, "pad_mode": "replicate"},
    "a rate that the hop does not divide": {"sampling_rate": 2010, "codebook_size": 64},
    "chunks, short sounds": {"chunk_length_s": 1.0, "overlap": 0.01, "normalize": True},
}


@pytest.fixture
def save(tmp_path):
    """Return a function that saves a random `EncodecModel` and returns it with its folder."""

    def make(**changes):
        import transformers

        config = transformers.EncodecConfig(**(SMALL | changes))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(len(str(changes)))
            model = transformers.EncodecModel(config).eval()
            with torch.no_grad():
                for name, value in model.named_parameters():
                    value.add_(0.1 * torch.randn_like(value))
                    if "weight" in name and value.ndim == 3:
                        value.mul_(1.5)
                for layer in model.quantizer.layers:
                    layer.codebook.embed.normal_(std=0.3)
        model.save_pretrained(tmp_path / "encodec")
        return model, tmp_path / "encodec"

    return make


@pytest.mark.parametrize("case", CASES)
def test_codes_and_sound_are_those_of_transformers(save, case):
    model, folder = save(**CASES[case])
    codec = load_codec(folder)
    assert not codec.training
    for index, bandwidth in enumerate(model.config.target_bandwidths):
        x = 0.3 * torch.randn(2, codec.channels, 401 + 20 * index)
        with torch.no_grad():
            expected = model.encode(x, bandwidth=bandwidth)
            codes = expected.audio_codes[0]
            codec.set_num_codebooks(codes.shape[1])
            found, scale = codec.encode(x)
            sound = codec.decode(found, scale)
            wanted = model.decode(expected.audio_codes, expected.audio_scales).audio_values
        assert torch.equal(found, codes)
        torch.testing.assert_close(scale, expected.audio_scales[0], rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(sound, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("bandwidths", "codebooks", "size"),
    [([0.4, 0.8, 1.2], 3, 16), ([2.4], 6, 16), ([1.2, 0.8], 2, 16), ([2.0], 3, 64)],
)
def test_codebooks_are_those_of_the_highest_bandwidth(save, bandwidths, codebooks, size):
    """kbit/s x 1000 / (100 frames/s x log2 of the entries); transformers builds the last one's."""
    model, folder = save(target_bandwidths=bandwidths, codebook_size=size)
    codec = load_codec(folder)
    assert codec.num_codebooks == codec.total_codebooks == codebooks
    assert codec.total_codebooks == len(model.quantizer.layers)


def test_our_table_holds_the_defaults_of_transformers():
    import transformers

    config = transformers.EncodecConfig()
    defaults = {key: default for key, (_, default) in KEYS.items()}
    for key, value in (defaults | OTHERS).items():
        found = getattr(config, key)
        if key != "codebook_dim":  # filled in from hidden_size
            assert (list(found) if isinstance(found, tuple) else found) == value, key
    named = {keyword for keyword, _ in KEYS.values()}
    assert named <= Codec().config.keys()


@pytest.mark.parametrize("norm_type", ["weight_norm", "time_group_norm"])
def test_older_names_and_files(save, norm_type):
    """As on the hub: weight_g and weight_v; and before safetensors."""
    _, folder = save(norm_type=norm_type, use_causal_conv=False)
    expected = load_codec(folder).fingerprint()
    state = load_file(folder / "model.safetensors")
    older = {
        key.replace("parametrizations.weight.original0", "weight_g").replace(
            "parametrizations.weight.original1", "weight_v"
        ): value
        for key, value in state.items()
    }
    save_file(older, folder / "model.safetensors", {"format": "pt"})
    assert load_codec(folder).fingerprint() == expected
    (folder / "model.safetensors").unlink()
    torch.save(older, folder / "pytorch_model.bin")
    assert load_codec(folder).fingerprint() == expected


def test_half_precision_is_widened(save):
    model, folder = save()
    model.half().save_pretrained(folder)
    codec = load_codec(folder)
    assert {value.dtype for value in codec.parameters()} == {torch.float32}
    assert torch.equal(
        codec.quantizer.codebooks[0].embed, model.quantizer.layers[0].codebook.embed.float()
    )


def test_pieces_are_said_not_to_be_cut(save, caplog):
    _, folder = save(chunk_length_s=0.1, overlap=0.01)
    with caplog.at_level(logging.WARNING):
        load_codec(folder)
    assert "in pieces of 0.1 s" in caplog.text
    assert "a sound is encoded whole" in caplog.text


def test_it_goes_out_in_the_published_layout(save, tmp_path):
    _, folder = save(normalize=True)
    codec = load_codec(folder)
    back = load_released(export_released(codec, tmp_path / "out.bin"))
    assert back.fingerprint() == codec.fingerprint()
    assert load_codec(folder).fingerprint() == codec.fingerprint()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"codebook_dim": 4}, "codebook_dim 4 and hidden_size 6"),
        ({"hidden_size": "6"}, "hidden_size '6', expected 128 or the like"),
        ({"target_bandwidths": []}, r"target_bandwidths \[\] instead of a list"),
        ({"upsampling_ratios": [5, "4"]}, r"upsampling_ratios \[5, '4'\], expected"),
        ({"upsampling_ratios": [5, 0]}, "upsampling_ratios"),
        ({"sampling_rate": 0}, "sample_rate must be a positive number"),
        ({"num_filters": -1}, "num_filters must be at least 1"),
        ({"target_bandwidths": [float("nan")]}, "target_bandwidths"),
        ({"codebook_size": 1}, "codebook_size must be at least 2"),
        ({"norm_type": "batch"}, "norm must be one of"),
        ({"hidden_size": 7, "codebook_dim": 7}, "mis-shaped: "),
        ({"use_conv_shortcut": False}, r"unexpected: .*encoder\.layers\.1\.shortcut\.conv\.bias"),
        ({"target_bandwidths": [9.9]}, "missing: quantizer.layers.10.codebook.cluster_size"),
    ],
)
def test_a_config_that_does_not_fit(save, change, message):
    _, folder = save()
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(CheckpointError, match=message):
        load_codec(folder)


def test_damage(save):
    _, folder = save()
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(CheckpointError, match=r"model\.safetensors is not a safetensors file"):
        load_codec(folder)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"none of model.safetensors, pytorch_model.bin"):
        load_codec(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match="is not JSON"):
        load_encodec_folder(folder)
    (folder / "config.json").write_text("[]")
    with pytest.raises(CheckpointError, match="holds no object"):
        load_encodec_folder(folder)

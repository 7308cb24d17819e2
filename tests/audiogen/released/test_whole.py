"""Whole published models: the reference's own codes, and parts that do not belong together."""

import json
import os
import shutil

import pytest
import torch

from audiogen.checkpoint import load_codec, load_model, read_model_config
from audiogen.codec.model import Codec
from audiogen.generation.stages import Stages
from audiogen.model_folder.layout import CheckpointError, model_hash
from audiogen.model_folder.parts import Model
from audiogen.pipeline import AudioGen
from audiogen.released import export_released, load_language_model, load_released

from .plain_lm import build_plain_lm
from .published_lm import (
    T5,
    golden,
    golden_config,
    lm_config,
    texts,
    write_golden,
    write_lm,
    write_model,
)

GREEDY = {"greedy": True, "padding": "batch", "guidance_scale": 3.0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_golden(tmp_path_factory.mktemp("published") / "model")


@pytest.fixture(scope="module")
def pipeline():
    arrays = golden("pipeline")
    return {k: torch.from_numpy(v) for k, v in arrays.items() if v.dtype.kind in "if"}


@pytest.fixture(scope="module")
def parts(folder):
    return load_model(folder)


@pytest.fixture
def loaded(parts):
    return AudioGen(text=parts.text, lm=parts.lm, codec=parts.codec, max_duration=10.0)


def test_conditions(loaded):
    arrays = golden("text")
    captions = texts("text")
    states, mask = loaded.condition([*captions, *[None] * len(captions)], padding="batch")
    expected = torch.from_numpy(arrays["cfg_cond_emb"])
    torch.testing.assert_close(states, expected, rtol=1e-4, atol=1e-5)
    assert mask.all()
    states, mask = loaded.condition(captions)
    torch.testing.assert_close(states, torch.from_numpy(arrays["cond_emb"]), rtol=1e-4, atol=1e-5)
    assert torch.equal(mask.long(), torch.from_numpy(arrays["cond_mask"]))
    none, mask = loaded.condition([None] * 4, padding="batch")
    assert torch.equal(none, torch.from_numpy(arrays["null_cond_emb"]))


def test_generation(loaded, pipeline):
    captions = texts("pipeline")
    call = {**GREEDY, "duration": 2.0}
    found = loaded.generate_codes(captions, **call)
    assert torch.equal(found, pipeline["generate2s_tokens"])
    assert torch.equal(found, pipeline["generate2s_twostep_tokens"])
    found = loaded.generate_codes([None], **call)
    assert torch.equal(found, pipeline["unconditional_tokens"])


@pytest.mark.parametrize("case", ["cont16", "cont24", "cont16_notext"])
def test_continuation(loaded, pipeline, case):
    expected = pipeline[f"{case}_tokens"]
    prompt = pipeline["cont16_prompt_tokens" if case != "cont24" else "cont24_prompt"]
    captions = texts("pipeline")[: len(expected)] if case != "cont16_notext" else [None]
    prompt = prompt[: len(expected)]
    found = loaded.generate_codes(captions, duration=2.0, prompt_codes=prompt, **GREEDY)
    assert torch.equal(found, expected)


@pytest.mark.parametrize("case", ["extend0", "extend1", "extend_cont"])
def test_windows(loaded, pipeline, case):
    """Tokens of sounds longer than a window, here of 2 s, which the reference sets so too."""
    params = pipeline["extend0_params" if case == "extend_cont" else f"{case}_params"]
    duration, stride, loaded.max_duration = params.tolist()
    loaded.set_generation_params(use_sampling=False, duration=duration, extend_stride=stride)
    prompt = pipeline["cont16_prompt_tokens"][:1] if case == "extend_cont" else None
    found = loaded.generate_codes(texts("pipeline")[:1], prompt_codes=prompt, padding="batch")
    assert torch.equal(found, pipeline[f"{case}_tokens"])


@pytest.mark.parametrize(
    ("duration", "frames"), [(2.28, 114), (2.54, 127), (2.7, 135), (3.99, 199)]
)
def test_lengths_at_which_the_reference_fails(loaded, duration, frames):
    """Its floors leave the last window without a frame to add, but for 3.99 s; here none fails."""
    loaded.max_duration = 2.0
    loaded.set_generation_params(use_sampling=False, duration=duration, extend_stride=0.4)
    assert loaded.generate_codes([None]).shape[-1] == frames
    assert loaded.generate_codes([None], duration=duration).shape[-1] == round(duration * 50)


def test_the_model_with_biases_and_without_delays(tmp_path):
    arrays = golden("lm_alt")
    state = {k.removeprefix("state::"): v for k, v in arrays.items() if k.startswith("state::")}
    state = {name: torch.from_numpy(value) for name, value in state.items()}
    codec = {"rvq__n_q": 4, "rvq__bins": 32, "seanet__ratios": [8, 5, 4, 2]}
    write_model(tmp_path / "alt", golden_config("lm_alt"), state, **codec)
    model = AudioGen.from_pretrained(tmp_path / "alt")
    found = model.generate_codes(texts("text"), duration=1.0, **GREEDY)
    assert torch.equal(found, torch.from_numpy(arrays["greedy"]))


def test_what_comes_out(folder):
    parts = load_released(folder)
    assert isinstance(parts, Model)
    assert parts.max_duration == 10.0
    assert parts.config["card"]["licence"].startswith("not stated in the file")
    assert parts.codec.num_codebooks == 4
    assert not parts.lm.training
    file = load_released(folder / "state_dict.bin")
    assert torch.equal(file.lm.head.weight, parts.lm.head.weight)
    codec = load_released(folder / "compression_state_dict.bin")
    assert isinstance(codec, Codec)
    assert codec.fingerprint() == load_codec(folder).fingerprint() == parts.codec.fingerprint()


def test_half_precision_is_widened_on_the_cpu(tmp_path):
    config = lm_config()
    state = {k: v.half() for k, v in build_plain_lm(config).state_dict().items()}
    folder = write_model(tmp_path / "m", config, state)
    assert load_model(folder).lm.head.weight.dtype == torch.float32
    assert load_model(folder, dtype=torch.float16).lm.head.weight.dtype == torch.float16


def test_the_text_encoder_from_elsewhere(folder, tmp_path, monkeypatch):
    only = tmp_path / "only"
    shutil.copytree(folder, only, ignore=shutil.ignore_patterns("t5_tiny"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OSError, match=r"names 't5_tiny': put a folder .* by text_encoder="):
        load_model(only)
    model = load_model(only, text_encoder=T5)
    assert model.text.config["name"] == "t5_tiny"  # as the file names it
    shutil.copytree(T5, only / "encoder")
    assert load_model(only, text_encoder="encoder").text.dim == 32


def test_a_text_encoder_of_another_width(tmp_path):
    config = lm_config()
    state = build_plain_lm(config, text_dim=24).state_dict()
    folder = write_model(tmp_path / "m", config, state)
    with pytest.raises(ValueError, match=r"width 24.* 32"):
        load_model(folder)


def test_a_language_model_without_its_codec(tmp_path, folder):
    write_lm(tmp_path / "lm")
    with pytest.raises(FileNotFoundError, match=r"no compression_state_dict.bin beside it.*codec="):
        load_model(tmp_path / "lm")
    write_model(tmp_path / "whole")
    parts = load_model(tmp_path / "lm", codec=tmp_path / "whole", text_encoder=T5)
    assert parts.codec.fingerprint() == load_codec(tmp_path / "whole").fingerprint()


def test_a_codec_without_its_language_model(tmp_path):
    folder = write_model(tmp_path / "m")
    (folder / "state_dict.bin").unlink()
    with pytest.raises(CheckpointError, match=r"published codec .* no language model"):
        load_model(folder)


@pytest.mark.parametrize(
    ("codec", "said"),
    [
        ({"rvq__bins": 17}, "16 codes per codebook, not 17"),
        ({"rvq__n_q": 4}, "3 codebooks, not 4"),
        ({"rvq__n_q": 2}, "3 codebooks, not 2"),
        ({"sample_rate": 8000}, "16000 Hz, not 8000"),
        ({"channels": 2}, r"1 channel\(s\), not 2"),
    ],
)
def test_the_codec_of_another_model(tmp_path, codec, said):
    folder = write_model(tmp_path / "m", **codec)
    with pytest.raises(CheckpointError, match=rf"is not the codec of .*{said}"):
        load_model(folder)


def test_all_that_does_not_fit_is_said_at_once(tmp_path):
    folder = write_model(tmp_path / "m", rvq__bins=17, sample_rate=8000, rvq__n_q=5)
    with pytest.raises(CheckpointError, match=r"3 codebooks, .*codes per codebook.*16000 Hz"):
        load_model(folder)


def test_fewer_codebooks_than_the_codec_has(tmp_path):
    folder = write_model(tmp_path / "m", lm_config(compression_model_n_q=3), rvq__n_q=5)
    parts = load_model(folder)
    assert (parts.codec.num_codebooks, parts.codec.total_codebooks) == (3, 5)
    shutil.rmtree(folder)
    folder = write_model(tmp_path / "m", lm_config(compression_model_n_q=4), rvq__n_q=5)
    with pytest.raises(CheckpointError, match="3 codebooks, not 4"):
        load_model(folder)


def test_swapped_files(tmp_path):
    folder = write_model(tmp_path / "m")
    lm, codec = folder / "state_dict.bin", folder / "compression_state_dict.bin"
    lm.rename(folder / "x")
    codec.rename(lm)
    (folder / "x").rename(codec)
    with pytest.raises(CheckpointError, match=r"Were the two files swapped\?"):
        load_model(folder)
    with pytest.raises(CheckpointError, match="is a language model, and a codec was asked for"):
        load_codec(folder)


@pytest.mark.parametrize("name", ["state_dict.bin", "compression_state_dict.bin"])
def test_cut_and_changed_files(tmp_path, name):
    folder = write_model(tmp_path / "m")
    path = folder / name
    data = path.read_bytes()
    for damaged in (b"", data[: len(data) // 2], data[:-1], b"\0" * len(data)):
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=name):
            load_model(folder)
    path.write_bytes(data)
    tensor = max(torch.load(path)["best_state"].values(), key=torch.numel)
    place = data.index(tensor.numpy().tobytes())
    path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
    with pytest.raises(CheckpointError, match=rf"{name} is damaged"):
        load_model(folder)


def test_a_file_that_runs_something_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (os.system, (f"touch {tmp_path / 'ran'}",))

    folder = write_model(tmp_path / "m")
    write_lm(folder, extra=Evil())
    for load in (load_model, load_released, load_language_model, read_model_config):
        with pytest.raises(CheckpointError, match=r"wants posix.system to be called"):
            load(folder)
    assert not (tmp_path / "ran").exists()


def test_the_like_of_a_config_json(folder, tmp_path):
    config = read_model_config(folder)
    assert config["codec"] == {"sample_rate": 16000, "channels": 1}
    assert config["lm"]["text_dim"] == 32
    assert set(config["files"]) == {"state_dict.bin", "compression_state_dict.bin"}
    other = read_model_config(write_model(tmp_path / "other"))
    again = read_model_config(folder)
    assert model_hash(config) == model_hash(again) != model_hash(other)


def test_a_published_model_becomes_one_of_ours(loaded, tmp_path):
    expected = loaded.generate_codes(["rain"], duration=0.2, seed=3)
    saved = loaded.save_pretrained(tmp_path / "ours")
    found = AudioGen.from_pretrained(saved).generate_codes(["rain"], duration=0.2, seed=3)
    assert torch.equal(found, expected)


def test_a_saved_model_does_not_depend_on_where_it_was_loaded_from(folder, tmp_path, monkeypatch):
    """It names its T5 as the checkpoint did, and takes it along, once and once more."""
    monkeypatch.chdir(folder.parent)
    AudioGen.from_pretrained(folder.name).save_pretrained(tmp_path / "ours")
    monkeypatch.chdir(tmp_path)
    AudioGen.from_pretrained("ours").save_pretrained("ours")
    AudioGen.from_pretrained("ours").save_pretrained("again")
    export_released(AudioGen.from_pretrained("again"), "back")
    monkeypatch.chdir("/")
    for name in ("ours", "again"):
        saved = tmp_path / name
        assert json.loads((saved / "config.json").read_text())["text"]["name"] == "t5_tiny"
        assert AudioGen.from_pretrained(saved).text.dim == 32
    assert load_model(tmp_path / "back").text.config["name"] == "t5_tiny"
    shutil.rmtree(tmp_path / "ours" / "t5_tiny")
    with pytest.raises(OSError, match=r"config.json names 't5_tiny': .* by text_encoder="):
        load_model(tmp_path / "ours")
    parts = load_model(tmp_path / "ours", text_encoder=T5)
    assert parts.text.config["name"] == "t5_tiny"


def test_a_published_folder_is_not_written_over(loaded, folder):
    with pytest.raises(CheckpointError, match="in the published layout: give a new folder"):
        loaded.save_pretrained(folder)


def test_a_stereo_prompt_at_another_rate_is_heard(loaded):
    sound = torch.randn(2, 1200) * 0.1
    codes = Stages.encode(loaded, sound, 24000)
    assert codes.shape == (1, 4, 3)  # 800 samples at 16 kHz, in frames of 320
    assert torch.equal(loaded.encode(sound.mean(0, keepdim=True), 24000), codes)
    assert loaded.encode(sound, 15991).shape[-1] == 4  # rates without a common divisor


def test_a_codec_goes_with_published_models_alone(model, tmp_path):
    saved = model.save_pretrained(tmp_path / "ours")
    with pytest.raises(ValueError, match="has its own codec: leave codec out"):
        load_model(saved, codec=saved)

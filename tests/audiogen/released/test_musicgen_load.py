"""A MusicGen of transformers is read as what its own class computes, whoever wrote it."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from audiogen.checkpoint import load_codec, load_model, read_model_config
from audiogen.cli import main
from audiogen.model_folder.layout import CheckpointError, model_hash
from audiogen.pipeline import AudioGen
from audiogen.released import export_transformers
from audiogen.text.t5 import T5Encoder

from .test_musicgen_write import CAPTIONS, draw, without_projection


@pytest.fixture(scope="module")
def t5(t5_folder):
    return T5Encoder(name=str(t5_folder))


@pytest.fixture
def exported(t5, tmp_path):
    few = {"num_codebooks": 4}
    return export_transformers(
        draw(t5, codec=few), tmp_path / "there", card={"licence": "CC-BY-NC-4.0, as its parent"}
    )


def same(mine, other):
    codes = [model.generate_codes(CAPTIONS, duration=0.02, seed=3) for model in (mine, other)]
    return torch.equal(*codes)


def test_what_goes_out_comes_back(t5, exported):
    model, back = draw(t5, codec={"num_codebooks": 4}), AudioGen.from_pretrained(exported)
    assert same(model, back)
    assert back.max_duration == model.max_duration
    assert back.codec.total_codebooks == 4
    assert back.codec.num_codebooks == back.lm.num_codebooks == 3
    assert back.card["licence"] == "CC-BY-NC-4.0, as its parent"
    assert back.codec.fingerprint() == load_codec(exported).fingerprint()


def test_its_t5_goes_into_a_folder_of_ours(exported, tmp_path):
    """Cut out of the whole, with nothing that names where it was."""
    back = AudioGen.from_pretrained(exported)
    folder = back.save_pretrained(tmp_path / "ours")
    inside = load_file(folder / "t5" / "model.safetensors")
    assert not any(name.startswith(("text_encoder", "decoder.", "audio")) for name in inside)
    assert str(exported) not in (folder / "config.json").read_text()
    exported.rename(tmp_path / "away")
    assert same(back, AudioGen.from_pretrained(folder))


def test_equal_widths(t5, tmp_path):
    model = without_projection(draw(t5, lm={"dim": 32}))
    folder = export_transformers(model, tmp_path / "there")
    assert same(model, AudioGen.from_pretrained(folder))


def test_what_transformers_saved_itself(exported, tmp_path):
    """In several files, under the names of older versions too."""
    import transformers

    there = transformers.MusicgenForConditionalGeneration.from_pretrained(exported)
    again = tmp_path / "again"
    there.save_pretrained(again, max_shard_size="40KB")
    transformers.AutoTokenizer.from_pretrained(exported).save_pretrained(again)
    assert (again / "model.safetensors.index.json").is_file()
    assert same(AudioGen.from_pretrained(exported), AudioGen.from_pretrained(again))
    older = {
        name.replace("parametrizations.weight.original0", "weight_g").replace(
            "parametrizations.weight.original1", "weight_v"
        ): value
        for name, value in load_file(exported / "model.safetensors").items()
    }
    (exported / "certificate.json").unlink(missing_ok=True)
    save_file(older, exported / "model.safetensors", {"format": "pt"})
    assert same(AudioGen.from_pretrained(exported), AudioGen.from_pretrained(again))


def test_info_knows_it(exported, capsys):
    assert main(["info", str(exported), "--verify"]) == 0
    found = capsys.readouterr().out
    for word in ("MusicgenForConditionalGeneration", "CC-BY-NC-4.0", "none: nobody compared"):
        assert word in found
    assert model_hash(read_model_config(exported)) in found


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"decoder": {"audio_channels": 2}}, "not known here: audio_channels 2"),
        ({"decoder": {"scale_embedding": True}}, "not known here: scale_embedding True"),
        ({"decoder": {"hidden_size": 18}}, "mis-shaped|cannot be built"),
        ({"decoder": {"num_hidden_layers": 3}}, r"missing: .*layers\.2\."),
        ({"decoder": {"vocab_size": "16"}}, "cannot be built here|was it changed by hand"),
        ({"decoder": {"hidden_size": 0}}, "was it changed by hand"),
        ({"text_encoder": {"d_model": None}}, r"it lacks text_encoder\.d_model"),
        ({"audio_encoder": {"hidden_size": 7}}, "mis-shaped|codebook_dim"),
    ],
)
def test_a_config_that_does_not_fit(exported, change, message):
    config = json.loads((exported / "config.json").read_text())
    for section, values in change.items():
        config[section] |= values
    (exported / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=message):
        load_model(exported)


def test_a_section_or_a_file_that_is_missing(exported):
    config = json.loads((exported / "config.json").read_text())
    del config["decoder"]
    (exported / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="has no decoder: copy the folder again"):
        load_model(exported)
    (exported / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"none of model\.safetensors"):
        load_model(exported)

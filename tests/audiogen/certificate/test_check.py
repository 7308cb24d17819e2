"""An export has to give what it was made of; what it gives is written beside it."""

import hashlib
import json
from datetime import datetime

import numpy as np
import pytest
import torch

from audiogen.certificate import CertificateError, certified, witness_codec, witness_model
from audiogen.certificate.witness import PROMPTS
from audiogen.checkpoint import load_codec, load_model, save_codec
from audiogen.lm.model import TokenLM
from audiogen.model_folder import write as folder
from audiogen.model_folder.certificate import check_certificate
from audiogen.pipeline import AudioGen
from audiogen.released import export_released, export_transformers
from audiogen.text.t5 import T5Encoder


@pytest.fixture(scope="module")
def t5(t5_folder):
    return T5Encoder(name=str(t5_folder))


@pytest.fixture
def whole(make_model, t5):
    """A model with T5 that every layout holds."""
    torch.manual_seed(3)
    lm = TokenLM(
        num_codebooks=3,
        codebook_size=16,
        text_dim=32,
        dim=16,
        num_layers=2,
        num_heads=2,
        delays=[0, 1, 2],
    )
    return AudioGen(text=t5, lm=lm, codec=make_model().codec, max_duration=0.1)


def read(folder, name="certificate.json"):
    return json.loads((folder / name).read_text())


def test_it_says_what_was_asked_and_what_came(model, saved):
    """The hashes are those of codes that anybody can generate again."""
    found = read(saved)
    assert found["prompts"] == list(PROMPTS)
    assert found["prompts"][0] is None
    assert (found["layout"], found["equal"], found["differ"]) == ("folder", ["model", "export"], {})
    assert found["codes"]["model"] == found["codes"]["export"]
    seconds = 8 / model.frame_rate
    options = {"duration": seconds, "guidance_scale": found["guidance_scale"]}
    greedy = model.generate_codes(found["prompts"], greedy=True, **options).numpy()
    data = np.array(greedy.shape, "<i8").tobytes() + greedy.astype("<i8").tobytes()
    assert found["codes"]["export"]["greedy"] == hashlib.sha256(data).hexdigest()
    sampled = model.generate_codes(found["prompts"], seed=found["seed"], top_k=16, **options)
    data = np.array(sampled.shape, "<i8").tobytes() + sampled.numpy().tobytes()
    assert found["codes"]["export"]["sampled"] == hashlib.sha256(data).hexdigest()
    for name, entry in found["files"].items():
        data = (saved / name).read_bytes()
        assert entry == {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    assert set(found["files"]) == {"lm.safetensors", "codec.safetensors", "text.safetensors"}
    assert datetime.fromisoformat(found["date"]).tzinfo is not None
    assert found["versions"]["torch"] == torch.__version__


def test_an_export_that_is_another_model_is_not_written(model, tmp_path, monkeypatch):
    """As if the disk, or a fault of ours, had changed a weight."""
    write = folder.write_tensors

    def spoiling(tensors, path, metadata=None):
        if path.name == "lm.safetensors":
            tensors = {k: -v if k == "head.weight" else v for k, v in tensors.items()}
        write(tensors, path, metadata)

    monkeypatch.setattr(folder, "write_tensors", spoiling)
    with pytest.raises(
        CertificateError, match=r"differs from the model weights .* % of greedy|greedy"
    ):
        model.save_pretrained(tmp_path / "m")
    assert not list(tmp_path.iterdir())
    assert model.save_pretrained(tmp_path / "m", certificate=False)


@pytest.mark.parametrize("dtype", [None, torch.float16])
def test_the_published_layout(whole, tmp_path, dtype):
    check = certified(whole, layout="released", dtype=dtype)
    folder = export_released(whole, tmp_path / "m", dtype=dtype, check=check)
    found = read(folder)
    assert found["layout"] == "released"
    assert set(found["files"]) >= {"state_dict.bin", "compression_state_dict.bin"}
    assert found["equal"][-2:] == ["model" if dtype is None else "model in float16", "export"]
    load_model(folder)
    export_released(whole, folder)
    assert not (folder / "certificate.json").exists()  # of weights that are there no more


@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
def test_transformers_reads_it_by_its_own_class(whole, tmp_path, dtype):
    check = certified(whole, layout="transformers", dtype=dtype)
    folder = export_transformers(whole, tmp_path / "m", dtype=dtype, check=check)
    found = read(folder)
    assert "model.safetensors" in found["files"]
    assert list(found["codes"]["export"]) == ["greedy"]  # it draws other numbers
    written = "model" if dtype is None else "model in bfloat16"
    assert found["written"] == written
    if "remark" not in found:
        assert found["codes"]["export"]["greedy"] == found["codes"][written]["greedy"]
    assert "certificate.json: model" in (folder / "README.md").read_text()
    check_certificate(folder, whole=True)


def test_transformers_that_gives_other_codes(whole, tmp_path):
    check = certified(whole, layout="transformers")

    def spoiled(folder):
        steps = folder / "generation_config.json"
        steps.write_text(
            steps.read_text().replace('"decoder_start_token_id": 16', '"decoder_start_token_id": 2')
        )
        return check(folder)

    with pytest.raises(CertificateError, match="of greedy"):
        export_transformers(whole, tmp_path / "m", check=spoiled)
    assert not list(tmp_path.iterdir())


def test_a_codec_alone_is_certified_by_codes_and_sound(model, tmp_path):
    codec = model.codec
    folder = save_codec(codec, tmp_path / "a", check=certified(codec))
    found = read(folder)
    assert set(found["codes"]["export"]) == {"codes", "sound"}
    assert found["measure"] == "8 frames of a fixed sound"
    assert "prompts" not in found
    check = certified(codec, layout="released", frames=5)
    file = export_released(codec, tmp_path / "b" / "codec.bin", check=check)
    assert {path.name for path in file.parent.iterdir()} == {"codec.bin", "codec.certificate.json"}
    assert load_codec(file).fingerprint() == codec.fingerprint()
    moved = file.with_name("other.bin")
    file.rename(moved)
    (file.parent / "codec.certificate.json").rename(file.parent / "other.certificate.json")
    load_codec(moved)
    export_released(codec, moved, dtype=torch.float16, check=None)
    assert not (file.parent / "other.certificate.json").exists()


def test_a_codec_that_is_another_is_not_written(model, make_model, tmp_path):
    other = certified(make_model(seed=9).codec, layout="released")
    with pytest.raises(CertificateError, match="nothing is written"):
        export_released(model.codec, tmp_path / "codec.bin", check=other)
    assert not list(tmp_path.iterdir())


def test_an_encoder_out_of_reach_leaves_no_caption(whole, tmp_path, monkeypatch):
    """Its states cannot be had, the weights can be compared all the same; the note says so."""
    encode = whole.text.encode

    def away(captions):
        if any(captions):
            raise OSError("no T5 here")
        return encode(captions)

    monkeypatch.setattr(whole.text, "encode", away)
    found = read(whole.save_pretrained(tmp_path / "m"))
    assert found["prompts"] == [None]
    assert "captions were not compared" in found["note"]


def test_it_is_bounded(model, whole):
    assert witness_model(model, frames=1).values["greedy"].shape == (3, 3, 3)  # all codebooks
    assert witness_model(model, frames=1000).values["greedy"].shape == (3, 3, 50)  # one window
    assert witness_codec(model.codec, frames=4).values["codes"].shape == (1, 3, 4)
    state = torch.get_rng_state()
    witness_model(whole)
    assert torch.equal(torch.get_rng_state(), state)


def test_difference_is_said_by_its_share(model, make_model):
    mine, other = witness_model(model), witness_model(make_model(seed=1))
    assert mine.difference(mine) is None
    found = mine.difference(other)
    shares = [
        (mine.values[name] != other.values[name]).double().mean().item()
        for name in ("greedy", "sampled")
    ]
    assert found == " and ".join(
        f"{share:.1%} of {name}" for share, name in zip(shares, ("greedy", "sampled"), strict=True)
    )

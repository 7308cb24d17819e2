"""Published whole models on the command line: what they are, what they make, what is wrong."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch

from audiogen.cli import main
from audiogen.lm.model import TokenLM
from audiogen.model_folder import known
from audiogen.pipeline import AudioGen
from audiogen.released import export_released
from audiogen.text.t5 import T5Encoder

T5 = Path(__file__).parents[2] / "golden" / "t5_tiny"


@pytest.fixture
def folder(model, tmp_path):
    """A whole model in the published layout, half precision, as AudioCraft would name it."""
    lm = TokenLM(
        **{"num_codebooks": 3, "codebook_size": 16, "num_layers": 2, "num_heads": 2, "dim": 8},
        text_dim=32,
        delays=[0, 1, 2],
    )
    text = T5Encoder(name=str(T5), lazy=True)
    parts = AudioGen(text=text, lm=lm, codec=model.codec, max_duration=0.1)
    path = export_released(parts, tmp_path / "published", dtype=torch.float16)
    change(path / "state_dict.bin", version="1.4.0a2", strip="\naudiogen:")
    return path


def change(path, *, version=None, strip=None, old="", new="", **keys):
    package = torch.load(path, weights_only=True)
    text = package["xp.cfg"].partition(strip)[0] if strip else package["xp.cfg"]
    assert old in text
    package["xp.cfg"] = text.replace(old, new)
    torch.save(package | keys | ({"version": version} if version else {}), path)


@pytest.fixture
def run(capsys):
    def call(*argv):
        code = main([str(word) for word in argv])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call


def facts(printed):
    lines = (line.split("  ", 1) for line in printed.splitlines())
    return {name: rest.strip() for name, rest in lines}


def test_info_of_a_whole_model(run, folder, model):
    code, out, _ = run("info", folder, "--verify")
    found = facts(out)
    assert code == 0
    assert found["format"] == "published model, by AudioCraft 1.4.0a2"
    assert found["licence"].startswith("not stated in the file (what Meta publishes is CC-BY-NC")
    assert found["language model"] == "2 layers of width 8, 2 heads"
    assert found["pattern"] == "delay, delays [0, 1, 2]"
    assert found["text encoder"] == "t5, t5_tiny, width 32"
    assert found["longest window"] == "0.1 s"
    assert found["sound made"] == "16000 Hz, 1 channel(s)"
    assert found["codes"] == "3 codebooks of 16, 500 frames/s, 6 kbit/s"
    state = torch.load(folder / "state_dict.bin", weights_only=True)["best_state"]
    values = sum(value.numel() for value in state.values())
    assert found["tensors"] == f"{len(state)} of {values:,} values of float16"
    for name in ("state_dict.bin", "compression_state_dict.bin"):
        assert found[name].endswith(known.sha256_of(folder / name))
    assert found["codec hash"] == model.codec.fingerprint()
    assert found["verified"].startswith("every tensor is there")


def test_info_of_a_language_model_alone(run, folder):
    for source in (folder / "state_dict.bin", folder):
        (folder / "compression_state_dict.bin").unlink(missing_ok=True)
        code, out, _ = run("info", source)
        assert code == 0
        assert facts(out)["format"] == "published language model, by AudioCraft 1.4.0a2"
        assert facts(out)["codes predicted"] == "3 codebooks of 16"
        assert "codes" not in facts(out)


def test_info_of_what_meta_published(run, folder, monkeypatch):
    """Known by its size and sha256, wherever it lies."""
    path = folder / "state_dict.bin"
    files = {"state_dict.bin": (path.stat().st_size, known.sha256_of(path))}
    model = known.Known(name="facebook/x", revision="1", licence="CC-BY-NC-4.0", files=files)
    monkeypatch.setattr(known, "KNOWN", (model,))
    _, out, _ = run("info", folder)
    assert facts(out)["licence"] == "CC-BY-NC-4.0"
    assert facts(out)["name"] == "facebook/x"


def test_generate_and_go_on(run, folder, tmp_path):
    argv = ["generate", "a dog barks", "--model", folder, "--duration", 0.15, "--out", tmp_path]
    code, out, _ = run(*argv)
    assert code == 0
    path = Path(out.strip())
    record = json.loads(path.with_suffix(".json").read_text())
    assert record["samples"] == 2400
    assert record["licence"].startswith("not stated in the file")
    code, again, err = run(*argv)
    assert (code, again) == (0, out)
    assert "1 of 1 were there already" in err
    change(folder / "state_dict.bin", version="1.4.0")  # another file, another model
    assert run(*argv)[1] != out


def test_generate_with_the_text_encoder_from_elsewhere(run, folder, tmp_path):
    shutil.move(folder / "t5_tiny", tmp_path / "t5")
    argv = ["generate", "rain", "--model", folder, "--duration", 0.02, "--out", tmp_path / "out"]
    code, out, err = run(*argv)
    assert (code, out) == (2, "")
    assert "names 't5_tiny': put a folder of that name beside it" in err
    assert "another place by --text-encoder" in err
    assert err.count("\n") == 2  # what is read, and what is wrong
    argv += ["--text-encoder", tmp_path / "t5"]
    code, first, err = run(*argv)
    assert code == 0
    assert err.startswith(f"reading {folder}\n")
    settings = json.loads(Path(first.strip()).with_suffix(".json").read_text())["settings"]
    assert settings["text_encoder"] == str(tmp_path / "t5")
    assert "1 of 1 were there already" in run(*argv)[2]
    shutil.copytree(tmp_path / "t5", tmp_path / "other")
    code, second, err = run(*argv[:-1], tmp_path / "other")
    assert (code, "already" in err) == (0, False)
    assert second != first


def test_generate_with_the_codec_from_elsewhere(run, folder, tmp_path):
    codec = tmp_path / "codec.bin"
    (folder / "compression_state_dict.bin").rename(codec)
    argv = ["generate", "rain", "--model", folder, "--duration", 0.02, "--out", tmp_path / "out"]
    code, _, err = run(*argv)
    assert code == 2
    assert "or name it by --codec (" in err
    code, out, _ = run(*argv, "--codec", codec)
    assert code == 0
    record = json.loads(Path(out.strip()).with_suffix(".json").read_text())
    assert record["settings"]["codec"] == str(codec)


def empty(folder):
    (folder / "state_dict.bin").write_bytes(b"")


def cut(folder):
    data = (folder / "state_dict.bin").read_bytes()
    (folder / "state_dict.bin").write_bytes(data[:-100])


def no_codec(folder):
    (folder / "compression_state_dict.bin").unlink()


def no_lm(folder):
    (folder / "state_dict.bin").unlink()


def swapped(folder):
    names = ("state_dict.bin", "compression_state_dict.bin")
    lm, codec = ((folder / name).read_bytes() for name in names)
    for name, data in zip(names, (codec, lm), strict=True):
        (folder / name).write_bytes(data)


def other_codes(folder):
    path = folder / "compression_state_dict.bin"
    package = torch.load(path, weights_only=True)
    state = {
        k: v[:15] if v.shape[0] == 16 and "_codebook" in k else v
        for k, v in package["best_state"].items()
    }
    text = package["xp.cfg"].replace("bins: 16", "bins: 15")
    torch.save(package | {"best_state": state, "xp.cfg": text}, path)


def another_rate(folder):
    path = folder / "state_dict.bin"
    change(path, old="sample_rate: 16000", new="sample_rate: 44100")


def rotary(folder):
    path = folder / "state_dict.bin"
    change(path, old="positional_embedding: sin", new="positional_embedding: rope")


def hostile(folder):
    class Evil:
        def __reduce__(self):
            return (os.system, ("false",))

    torch.save({"best_state": Evil()}, folder / "state_dict.bin")


def wide(folder):
    path = folder / "state_dict.bin"
    name = "condition_provider.conditioners.description.output_proj.weight"
    state = torch.load(path, weights_only=True)["best_state"]
    change(path, best_state=state | {name: torch.zeros(8, 48)})


WRONG = {
    empty: "state_dict.bin is empty",
    cut: "state_dict.bin is cut short or damaged",
    no_codec: "has no compression_state_dict.bin beside it",
    no_lm: "no language model",
    swapped: "Were the two files swapped?",
    other_codes: "trained with 16 codes per codebook, not 15",
    another_rate: "trained with 44100 Hz, not 16000",
    rotary: "transformer_lm.positional_embedding 'rope'; what is known here is 'sin'",
    hostile: "posix.system to be called",
    wide: "width 48",
}


@pytest.mark.parametrize("damage", WRONG, ids=lambda damage: damage.__name__)
def test_what_is_wrong_is_said_on_one_line(run, folder, tmp_path, damage):
    damage(folder)
    out = tmp_path / "out"
    code, printed, err = run("generate", "rain", "--model", folder, "--out", out, "--duration", 0.1)
    assert (code, printed) == (2, "")
    assert WRONG[damage] in err
    assert err.splitlines()[:-1] == [f"reading {folder}"]
    assert not out.exists()

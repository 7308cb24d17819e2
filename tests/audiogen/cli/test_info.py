"""`audiogen info`: facts from headers, and damage seen without building the model."""

import pytest
import torch

from audiogen.audio import write_audio
from audiogen.checkpoint import save_codec
from audiogen.cli import main


@pytest.fixture
def info(capsys):
    def run(*argv: object) -> tuple[int, dict[str, str]]:
        code = main(["info", *map(str, argv)])
        printed = capsys.readouterr()
        lines = (line.split("  ", 1) for line in printed.out.splitlines())
        return code, {name: rest.strip() for name, rest in lines} or {"error": printed.err}

    return run


def test_a_model(info, model, saved):
    code, facts = info(saved, "--verify")
    assert code == 0
    assert facts["licence"] == "CC0-1.0"
    assert facts["sound"] == "16000 Hz, 1 channel(s)"
    assert facts["codes"] == "3 codebooks of 16, 500 frames/s, 6 kbit/s"
    assert facts["codec hash"] == model.codec.fingerprint()
    assert facts["longest window"] == "0.1 s"
    values = sum(tensor.numel() for tensor in model.lm.state_dict().values())
    assert facts["lm.safetensors"].startswith(f"{values:,} values of F32, ")
    assert facts["verified"] == "every file is what was saved"


def test_a_codec(info, model, tmp_path):
    code, facts = info(save_codec(model.codec, tmp_path / "codec"))
    assert code == 0
    assert "language model" not in facts
    assert facts["format"].startswith("audiogen-codec 1, by audiogen ")


def test_damage(info, saved):
    path = saved / "lm.safetensors"
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert info(saved)[0] == 0
    code, facts = info(saved, "--verify")
    assert code == 2
    assert "lm.safetensors is not what was saved" in facts["error"]
    path.write_bytes(b"\0" * len(data))
    assert info(saved)[1]["lm.safetensors"].startswith("DAMAGED")
    path.write_bytes(data[:-1])
    assert info(saved)[1]["lm.safetensors"].startswith("DAMAGED")
    path.unlink()
    assert info(saved)[1]["lm.safetensors"].startswith("MISSING")


def test_codes(info, capsys, saved, tmp_path):
    write_audio(tmp_path / "in.wav", 0.5 * torch.sin(torch.arange(1000) / 5), 16000)
    codes = tmp_path / "codes.safetensors"
    argv = ["encode", str(tmp_path / "in.wav"), "--model", str(saved), "--out", str(codes)]
    assert main(argv) == 0
    capsys.readouterr()
    code, facts = info(codes)
    assert code == 0
    assert facts["codes"] == "[1, 3, 32]"
    assert facts["samples"] == "1000"

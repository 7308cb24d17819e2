"""`audiogen info`: facts from headers, and damage seen without building the model."""

import pytest
import torch

from audiogen.audio import write_audio
from audiogen.checkpoint import save_codec
from audiogen.cli import main
from audiogen.model_folder.layout import VERSION
from audiogen.released import export_released


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
    assert facts["language model"] == "2 layers of width 16, 2 heads"
    assert facts["pattern"] == "delay, delays [0, 1, 2]"
    assert facts["codes predicted"] == "3 codebooks of 16"
    assert facts["text encoder"].endswith("), width 8")
    assert facts["sound made"] == "16000 Hz, 1 channel(s)"
    assert facts["convolutions"] == "not causal, weight_norm, padding constant"
    values = sum(tensor.numel() for tensor in model.lm.state_dict().values())
    assert facts["lm.safetensors"].startswith(f"{values:,} values of F32, ")
    assert facts["verified"] == "every file is what was saved"


def test_a_codec(info, model, tmp_path):
    code, facts = info(save_codec(model.codec, tmp_path / "codec"))
    assert code == 0
    assert "language model" not in facts
    assert facts["format"].startswith(f"audiogen-codec {VERSION}, by audiogen ")


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
    assert facts["samples"] == "1000 (0.0625 s)"
    head = codes.read_bytes()
    codes.write_bytes(head.replace(b'"sample_rate": "16000"', b'"sample_rate": "none?"'))
    assert info(codes)[1]["samples"] == "1000"  # what is odd is shown as it is


def test_a_published_codec(info, model, tmp_path):
    path = export_released(model.codec, tmp_path / "published")
    for source in (path, path.parent):
        code, facts = info(source, "--verify")
        assert code == 0
        assert facts["format"].startswith("published codec, by audiogen ")
        assert facts["sound"] == "16000 Hz, 1 channel(s)"
        assert facts["codes"] == "3 codebooks of 16, 500 frames/s, 6 kbit/s"
        assert facts["convolutions"] == "not causal, weight_norm, padding constant"
        values = sum(v.numel() for v in torch.load(path)["best_state"].values())
        assert facts["tensors"].endswith(f" of {values:,} values of float32")
        assert facts["codec hash"] == model.codec.fingerprint()
        assert "language model" not in facts
    assert "codec hash" not in info(path)[1]
    (path.parent / "state_dict.bin").write_bytes(b"weights")
    code, facts = info(path.parent)
    assert code == 2
    assert "state_dict.bin is not a file of torch.save" in facts["error"]


def test_other_published_files(info, model, tmp_path):
    path = export_released(model.codec, tmp_path / "codec.bin")
    package = torch.load(path)
    del package["version"]
    torch.save(package, path)
    assert info(path)[1]["format"] == "published codec, of an unnamed author"
    state = package["best_state"]
    torch.save({"history": [{}, {}], **package, "best_state": {"model": state}}, path)
    assert info(path)[1]["format"] == "training checkpoint of a codec, 2 epochs"
    torch.save({**package, "best_state": {"emb.0.weight": state.popitem()[1]}}, path)
    code, facts = info(path)
    assert code == 2
    assert "its xp.cfg lacks lm_model" in facts["error"]  # weights of one, words of another
    torch.save({"pretrained": "someone/else"}, path)
    assert info(path)[1]["format"] == "stands for the codec 'someone/else'"
    path.write_bytes(path.read_bytes()[:-40])
    code, facts = info(path)
    assert code == 2
    assert "cut short or damaged" in facts["error"]


def test_a_model_of_transformers(info, tmp_path):
    import transformers

    config = transformers.EncodecConfig(
        hidden_size=4, num_filters=2, upsampling_ratios=[2, 2], codebook_size=8, num_lstm_layers=1
    )
    transformers.EncodecModel(config).save_pretrained(tmp_path)
    code, facts = info(tmp_path, "--verify")
    assert code == 0
    assert facts["format"] == "EncodecModel of transformers"
    assert facts["sound"] == "24000 Hz, 1 channel(s)"
    assert facts["convolutions"] == "causal, weight_norm, padding reflect"
    assert facts["verified"].startswith("every tensor")


def test_neither(info, tmp_path):
    code, facts = info(tmp_path)
    assert code == 2
    assert "is not a model folder" in facts["error"]
    (tmp_path / "x.txt").write_text("hello")
    assert info(tmp_path / "x.txt")[0] == 2

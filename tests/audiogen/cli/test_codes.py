"""`audiogen encode` and `decode`: sound -> codes -> sound, with the codec that belongs to them."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from audiogen.audio import read_audio, write_audio
from audiogen.checkpoint import save_codec
from audiogen.cli import main
from audiogen.cli.codes import read_codes


@pytest.fixture
def sound(tmp_path):
    path = tmp_path / "in.wav"
    write_audio(path, 0.5 * torch.sin(torch.arange(1000) / 5), 16000)
    return path


def run(capsys, *argv: object) -> tuple[int, str]:
    code = main([str(part) for part in argv])
    printed = capsys.readouterr()
    return code, printed.out if code == 0 else printed.err


def test_round_trip_is_that_of_the_codec(capsys, model, saved, sound, tmp_path):
    codes, out = tmp_path / "a" / "codes.safetensors", tmp_path / "out.wav"
    assert run(capsys, "encode", sound, "--model", saved, "--out", codes) == (0, f"{codes}\n")
    waveform = read_audio(sound)[0][None]
    expected = model.codec.encode(waveform)[0]
    assert codes.stat().st_mode == sound.stat().st_mode  # not for its owner alone
    assert torch.equal(load_file(codes)["codes"], expected)
    assert run(capsys, "decode", codes, "--out", out) == (0, f"{out}\n")
    decoded = model.codec.decode(expected)[0, :, :1000].detach()
    written = read_audio(out)[0]
    assert written.shape == (1, 1000)
    peak = decoded.abs().max().clamp(min=1)
    torch.testing.assert_close(written, decoded / peak, rtol=0, atol=1e-4)


def test_loudness_of_a_renormalizing_codec_is_kept(capsys, make_model, sound, tmp_path):
    folder = save_codec(make_model(renormalize=True).codec, tmp_path / "codec")
    codes = tmp_path / "codes.safetensors"
    assert run(capsys, "encode", sound, "--model", folder, "--out", codes)[0] == 0
    assert read_codes(codes)[0]["scale"].item() == pytest.approx(0.5 / 2**0.5, rel=0.05)
    assert run(capsys, "decode", codes, "--out", tmp_path / "out.wav")[0] == 0


def test_another_codec_is_refused(capsys, make_model, saved, sound, tmp_path):
    codes = tmp_path / "codes.safetensors"
    run(capsys, "encode", sound, "--model", saved, "--out", codes)
    other = make_model(seed=1).save_pretrained(tmp_path / "other")
    code, message = run(capsys, "decode", codes, "--model", other, "--out", tmp_path / "out.wav")
    assert code == 2
    assert "pass the --model it was encoded with" in message
    assert not (tmp_path / "out.wav").exists()


def test_mistakes(capsys, saved, sound, tmp_path):
    wav, codes = tmp_path / "out.wav", tmp_path / "codes.safetensors"
    weights = saved / "lm.safetensors"
    for argv, message in [
        (("encode", tmp_path / "no.wav", "--model", saved, "--out", codes), "no such file"),
        (("encode", saved / "config.json", "--model", saved, "--out", codes), "not audio"),
        (("encode", sound, "--model", saved, "--out", wav), "must end in .safetensors"),
        (("decode", codes, "--out", wav), "there is no file"),
        (("decode", sound, "--out", wav), "is not a safetensors file"),
        (("decode", weights, "--out", wav), "holds no codes"),
    ]:
        code, said = run(capsys, *argv)
        assert code == 2
        assert message in said
        assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("repeats", "changes"),
    [
        (1, {"samples": "x"}),
        (1, {"samples": "-5"}),
        (1, {"samples": "99999"}),
        (1, {"samples": None}),
        (1, {"codec_hash": None}),
        (2, {}),
    ],
)
def test_damaged_codes(capsys, saved, sound, tmp_path, repeats, changes):
    codes, out = tmp_path / "codes.safetensors", tmp_path / "out.wav"
    run(capsys, "encode", sound, "--model", saved, "--out", codes)
    tensors, metadata = read_codes(codes)
    kept = {key: value for key, value in (metadata | changes).items() if value is not None}
    save_file({"codes": tensors["codes"].repeat(repeats, 1, 1)}, codes, kept)
    code, said = run(capsys, "decode", codes, "--model", saved, "--out", out)
    assert code == 2
    assert "is damaged: " in said
    assert not out.exists()

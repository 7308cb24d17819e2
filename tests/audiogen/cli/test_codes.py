"""`audiogen encode` and `decode`: sound -> codes -> sound, with the codec that belongs to them."""

import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file, save_file

import audiogen.cli.codes
import audiogen.cli.codes_file
import audiogen.long_audio
from audiogen.audio import read_audio, write_audio
from audiogen.checkpoint import load_codec, save_codec
from audiogen.cli import main
from audiogen.cli.codes_file import open_codes


@pytest.fixture
def sound(tmp_path):
    path = tmp_path / "in.wav"
    write_audio(path, 0.5 * torch.sin(torch.arange(1000) / 5), 16000)
    return path


def run(capsys, *argv: object) -> tuple[int, str]:
    code = main([str(part) for part in argv])
    printed = capsys.readouterr()
    return code, printed.out if code == 0 else printed.err


def fails(capsys, *argv: object) -> str:
    """Run what is the caller's mistake; return the one line it says."""
    code, said = run(capsys, *argv)
    assert code == 2, said
    assert len(said.splitlines()) == 1
    return said


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


@pytest.mark.parametrize(
    ("changes", "samples"),
    [
        ({}, 100_001),
        ({"causal": True}, 100_001),
        ({"renormalize": True}, 100_001),
        ({"norm": "time_group_norm"}, 5000),
        ({"channels": 2}, 1),
    ],
)
def test_what_takes_many_pieces_equals_the_whole(capsys, make_model, tmp_path, changes, samples):
    """At 44.1 kHz in stereo; 100,001 samples are two blocks of reading and two of encoding."""
    codec = make_model(**changes).codec
    folder = save_codec(codec, tmp_path / "codec")
    path, codes, out = (tmp_path / name for name in ("x.flac", "x.safetensors", "y.flac"))
    noise = 0.1 * torch.randn(2, samples, generator=torch.Generator().manual_seed(0))
    write_audio(path, noise, 44100)
    assert main(["encode", str(path), "--model", str(folder), "--out", str(codes)]) == 0
    said = capsys.readouterr().err
    assert "x.flac: resampled from 44100 Hz to 16000 Hz" in said
    assert ("2 channel(s) mixed to 1" in said) == (codec.channels == 1)
    waveform = read_audio(path, sample_rate=16000, channels=codec.channels)[0]
    with torch.no_grad():
        expected, scale = codec.encode(waveform[None])
        whole = codec.decode(expected, scale)[0, :, : waveform.shape[1]]
    assert torch.equal(load_file(codes)["codes"], expected)
    assert run(capsys, "decode", codes, "--out", out)[0] == 0
    write_audio(tmp_path / "whole.flac", whole, 16000, clipping="rescale")
    step = 2**-15  # of 16 bits
    written, rescaled = read_audio(out)[0], read_audio(tmp_path / "whole.flac")[0]
    torch.testing.assert_close(written, rescaled, rtol=0, atol=1.01 * step)


def test_loudness_of_a_renormalizing_codec_is_kept(capsys, make_model, sound, tmp_path):
    folder = save_codec(make_model(renormalize=True).codec, tmp_path / "codec")
    codes = tmp_path / "codes.safetensors"
    assert run(capsys, "encode", sound, "--model", folder, "--out", codes)[0] == 0
    assert load_file(codes)["scale"].item() == pytest.approx(0.5 / 2**0.5, rel=0.05)
    assert run(capsys, "decode", codes, "--out", tmp_path / "out.wav")[0] == 0


def test_fewer_codebooks(capsys, saved, sound, tmp_path):
    both = []
    for count in (3, 2):
        path = tmp_path / f"{count}.safetensors"
        argv = ["encode", sound, "--model", saved, "--out", path, "--codebooks", count]
        assert run(capsys, *argv)[0] == 0
        both.append(load_file(path)["codes"])
    assert torch.equal(both[0][:, :2], both[1])
    assert run(capsys, "decode", path, "--out", tmp_path / "out.wav")[0] == 0
    for count in (4, 0, -1):
        message = fails(capsys, *argv[:-1], count)
        assert f"num_codebooks must be in [1, 3], got {count}" in message


def test_several_files(capsys, saved, sound, tmp_path):
    other = tmp_path / "other.flac"
    write_audio(other, torch.zeros(2, 500), 8000)
    codes, sounds = tmp_path / "codes", tmp_path / "sounds"
    made = [codes / "in.safetensors", codes / "other.safetensors"]
    argv = ["encode", sound, other, "--model", saved, "--out", codes]
    assert run(capsys, *argv) == (0, "".join(f"{path}\n" for path in made))
    code, printed = run(capsys, "decode", *made, "--out", sounds)
    assert (code, printed) == (0, f"{sounds}/in.wav\n{sounds}/other.wav\n")
    assert read_audio(sounds / "other.wav")[0].shape == (1, 1000)
    assert run(capsys, "encode", other, "--model", saved, "--out", codes)[1] == f"{made[1]}\n"


def test_what_was_done_to_several_files_is_one_line(capsys, saved, sound, tmp_path):
    names = {"a": (1, 8000), "b": (1, 8000), "c": (2, 16000)}
    for name, (channels, rate) in names.items():
        write_audio(tmp_path / f"{name}.wav", torch.zeros(channels, 500), rate)
    bad = tmp_path / "bad.wav"
    bad.write_text("no sound")
    sources = [sound, *(tmp_path / f"{name}.wav" for name in names)]
    argv = ["encode", *sources, "--model", saved, "--out", tmp_path / "codes"]
    resampled = "2 of {} files: resampled from 8000 Hz to 16000 Hz"
    mixed = "1 of {} files: 2 channel(s) mixed to 1"
    assert main([str(word) for word in argv]) == 0
    assert capsys.readouterr().err == f"{resampled}; {mixed}\n".format(4, 4)
    assert main([str(word) for word in ["encode", bad, *argv[1:]]]) == 2
    error, changes, last = capsys.readouterr().err.splitlines()
    assert "bad.wav" in error
    assert changes == f"{resampled}; {mixed}".format(5, 5)
    assert "1 of 5 files" in last
    assert main([str(word) for word in [*argv[:2], *argv[5:]]]) == 0
    assert capsys.readouterr().err == ""  # nothing was done to it


def test_one_bad_file_of_several(capsys, saved, sound, tmp_path):
    bad, codes = tmp_path / "bad.wav", tmp_path / "codes"
    bad.write_text("no sound")
    assert main(["encode", str(bad), str(sound), "--model", str(saved), "--out", str(codes)]) == 2
    printed = capsys.readouterr()
    assert printed.out == f"{codes}/in.safetensors\n"
    first, last = printed.err.splitlines()
    assert "bad.wav: not audio" in first
    assert "1 of 2 files are not done" in last


def test_another_codec_is_refused(capsys, make_model, saved, sound, tmp_path):
    codes = tmp_path / "codes.safetensors"
    run(capsys, "encode", sound, "--model", saved, "--out", codes)
    other = make_model(seed=1).save_pretrained(tmp_path / "other")
    message = fails(capsys, "decode", codes, "--model", other, "--out", tmp_path / "out.wav")
    assert "pass the --model it was encoded with" in message
    assert not (tmp_path / "out.wav").exists()


def test_mistakes(capsys, saved, sound, tmp_path):
    wav, codes = tmp_path / "out.wav", tmp_path / "codes.safetensors"
    weights = saved / "lm.safetensors"
    for argv, message in [
        (("encode", tmp_path / "no.wav", "--model", saved, "--out", codes), "no such file"),
        (("encode", tmp_path, "--model", saved, "--out", codes), "is a folder"),
        (("encode", saved / "config.json", "--model", saved, "--out", codes), "not audio"),
        (("encode", sound, "--model", saved, "--out", wav), "must end in .safetensors"),
        (("encode", sound, "--model", saved, "--out", tmp_path / "codes"), "must end in"),
        (("encode", sound, sound, "--model", saved, "--out", codes), "must be a folder for 2"),
        (("encode", sound, sound, "--model", saved, "--out", tmp_path), "several files would"),
        (
            ("encode", sound, "--model", saved, "--out", sound / "x.safetensors"),
            "is a file, not a folder",
        ),
        (("encode", sound, "--model", tmp_path, "--out", codes), "is not a model folder"),
        (("encode", sound, "--model", saved, "--out", codes, "--codebooks", "two"), "invalid int"),
        (("decode", codes, "--out", wav), "there is no file"),
        (("decode", tmp_path, "--out", wav), "there is no file"),
        (("decode", sound, "--out", wav), "is not a whole safetensors file"),
        (("decode", weights, "--out", wav), "holds no codes"),
        (("decode", weights, "--out", tmp_path / "out"), "must end in .wav, .flac"),
        (("decode", weights, "--out", tmp_path / "out.xyz"), "must end in .wav, .flac"),
    ]:
        assert message in fails(capsys, *argv)
    assert {path.name for path in tmp_path.iterdir()} == {"model", "in.wav"}


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros(0, np.float32), "no samples: only a header"),
        (np.full(70_000, np.nan, np.float32), "NaN or infinite"),
        (np.r_[np.zeros(69_999, np.float32), np.float32(np.inf)], "NaN or infinite"),
    ],
)
def test_sounds_that_are_none(capsys, saved, tmp_path, samples, message):
    soundfile.write(tmp_path / "in.wav", samples, 16000, subtype="FLOAT")
    codes = tmp_path / "codes.safetensors"
    argv = ["encode", tmp_path / "in.wav", "--model", saved, "--out", codes]
    assert message in fails(capsys, *argv)
    assert not codes.exists()


def test_cut_files(capsys, saved, sound, tmp_path):
    codes, out = tmp_path / "codes.safetensors", tmp_path / "out.wav"
    assert run(capsys, "encode", sound, "--model", saved, "--out", codes)[0] == 0
    whole = codes.read_bytes()
    for size in (0, 5, 100, len(whole) - 1):
        codes.write_bytes(whole[:size])
        assert "is not a whole safetensors file" in fails(capsys, "decode", codes, "--out", out)
    data = sound.read_bytes()
    for size in (0, 20, 500):
        sound.write_bytes(data[:size])
        fails(capsys, "encode", sound, "--model", saved, "--out", codes)
    assert not out.exists()


@pytest.mark.parametrize(
    ("tensors", "changes"),
    [
        ({}, {"samples": "x"}),
        ({}, {"samples": "-5"}),
        ({}, {"samples": "0"}),
        ({}, {"samples": "99999"}),
        ({}, {"samples": "900"}),
        ({}, {"samples": None}),
        ({}, {"codec_hash": None}),
        ({"codes": torch.zeros(2, 3, 32).long()}, {}),
        ({"codes": torch.zeros(1, 3, 0).long()}, {}),
        ({"codes": torch.zeros(3, 32).long()}, {}),
        ({"codes": torch.zeros(1, 3, 32)}, {}),
        ({"scale": torch.tensor([[float("nan")]])}, {}),
        ({"scale": torch.tensor([[0.0]])}, {}),
        ({"scale": torch.ones(2, 1)}, {}),
    ],
)
def test_damaged_codes(capsys, saved, sound, tmp_path, tensors, changes):
    codes, out = tmp_path / "codes.safetensors", tmp_path / "out.wav"
    run(capsys, "encode", sound, "--model", saved, "--out", codes)
    metadata = dict(open_codes(codes).metadata) | changes
    kept = {key: value for key, value in metadata.items() if value is not None}
    save_file(load_file(codes) | tensors, codes, kept)
    said = fails(capsys, "decode", codes, "--model", saved, "--out", out)
    assert "is damaged: " in said
    assert not out.exists()


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"codes": torch.full((1, 3, 32), 16)}, "codes must be in [0, 16), got 16 to 16"),
        ({"codes": torch.full((1, 3, 32), -1)}, "got -1 to -1"),
        ({"codes": torch.zeros(1, 5, 32).long()}, "codes have 5 codebooks"),
        ({"scale": torch.ones(1, 1)}, "renormalize=False"),
    ],
)
def test_codes_the_codec_does_not_have(capsys, saved, sound, tmp_path, tensors, message):
    codes, out = tmp_path / "codes.safetensors", tmp_path / "out.wav"
    run(capsys, "encode", sound, "--model", saved, "--out", codes)
    save_file(load_file(codes) | tensors, codes, dict(open_codes(codes).metadata))
    said = fails(capsys, "decode", codes, "--out", out)
    assert message in said
    assert str(codes) in said
    assert not out.exists()


def test_a_codec_gone_wrong_writes_no_sound(capsys, make_model, sound, tmp_path):
    codec = make_model().codec
    folder, codes = save_codec(codec, tmp_path / "codec"), tmp_path / "codes.safetensors"
    run(capsys, "encode", sound, "--model", folder, "--out", codes)
    broken = load_codec(folder)
    with torch.no_grad():
        broken.decoder.layers[-1].conv.bias.fill_(float("nan"))
    save_codec(broken, folder)
    tensors, metadata = load_file(codes), dict(open_codes(codes).metadata)
    save_file(tensors, codes, metadata | {"codec_hash": broken.fingerprint()})
    said = fails(capsys, "decode", codes, "--out", tmp_path / "out.wav")
    assert "not finite" in said or "NaN" in said
    assert not (tmp_path / "out.wav").exists()


def test_a_full_disk_is_not_the_callers_mistake(capsys, monkeypatch, saved, sound, tmp_path):
    codes, out = tmp_path / "codes.safetensors", tmp_path / "out.wav"
    assert run(capsys, "encode", sound, "--model", saved, "--out", codes)[0] == 0
    before = codes.read_bytes()

    @contextmanager
    def on_a_full_disk(path: Path):
        yield Path("/dev/full")

    def waiting_on_a_full_disk(**_: Path):
        return Path("/dev/full").open("w+b", buffering=0)

    monkeypatch.setattr(audiogen.cli.codes_file, "replacing", on_a_full_disk)
    monkeypatch.setattr(audiogen.long_audio, "TemporaryFile", waiting_on_a_full_disk)
    for argv in (
        ["encode", sound, "--model", saved, "--out", codes],
        ["decode", codes, "--out", out],
    ):
        code, said = run(capsys, *argv)
        assert code == 1
        assert "No space left on device" in said
        assert len(said.splitlines()) == 1
    assert codes.read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"model", "in.wav", codes.name}


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="/proc takes files from nobody")
def test_a_folder_that_takes_no_files(capsys, saved, sound, tmp_path):
    codes = tmp_path / "codes.safetensors"
    assert run(capsys, "encode", sound, "--model", saved, "--out", codes)[0] == 0
    fails(capsys, "encode", sound, "--model", saved, "--out", "/proc/codes.safetensors")
    fails(capsys, "decode", codes, "--out", "/proc/out.wav")


def test_a_sound_too_long_for_a_wav_file(capsys, monkeypatch, saved, sound, tmp_path):
    codes = tmp_path / "codes.safetensors"
    run(capsys, "encode", sound, "--model", saved, "--out", codes)
    monkeypatch.setattr(audiogen.cli.codes, "LARGEST_WAV", 1999)
    said = fails(capsys, "decode", codes, "--out", tmp_path / "out.wav")
    assert "let --out end in .w64" in said
    assert run(capsys, "decode", codes, "--out", tmp_path / "out.w64")[0] == 0


def test_killed_half_way(saved, tmp_path):
    """No half file is left under the name, and the next run removes what lies hidden."""
    path, folder = tmp_path / "long.wav", tmp_path / "out"
    soundfile.write(path, np.zeros(16000 * 1200, np.int16), 16000)
    codes = folder / "codes.safetensors"
    command = [sys.executable, "-m", "audiogen", "encode", path, "--model", saved, "--out", codes]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 60
        while not (folder.exists() and list(folder.iterdir())) and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    finally:
        process.kill()
        process.communicate()
    (hidden,) = folder.iterdir()
    assert hidden.name.startswith(".writing-")
    write_audio(path, torch.zeros(1, 100), 16000)
    assert main([str(part) for part in command[3:]]) == 0
    assert list(folder.iterdir()) == [codes]


def test_progress_is_shown_on_a_terminal_only(capsys, monkeypatch, saved, sound, tmp_path):
    argv = ["encode", str(sound), "--model", str(saved), "--out", str(tmp_path / "x.safetensors")]
    assert main(argv) == 0
    assert capsys.readouterr().err == ""
    real = audiogen.cli.codes.tqdm
    monkeypatch.setattr(audiogen.cli.codes, "tqdm", lambda **k: real(**k | {"delay": 0}))
    monkeypatch.setattr(type(sys.stderr), "isatty", lambda _: True, raising=False)
    assert main(argv) == 0
    assert "encoding in.wav" in capsys.readouterr().err

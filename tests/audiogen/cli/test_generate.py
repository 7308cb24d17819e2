"""`audiogen generate`: files, records, resuming, and the sounds of the Python call."""

import json
from pathlib import Path

import pytest
import torch

from audiogen.audio import read_audio
from audiogen.checkpoint import save_codec
from audiogen.cli import main
from audiogen.cli.records import Writer
from audiogen.level import loudness
from audiogen.pipeline import AudioGen

PROMPTS = ["a dog barks", "Rain / on ../ a tin roof?", "a dog barks"]


def _place(path: Path) -> tuple[int, int]:
    record = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    return record["item"], record["seed"]


@pytest.fixture
def call(saved, tmp_path, capsys):
    """Run the command on prompts; return exit code, printed paths in their order, and messages."""

    def run(*prompts: str, out: str = "out", **options: object) -> tuple[int, list[Path], str]:
        argv = ["generate", *prompts, "--model", str(saved), "--out", str(tmp_path / out)]
        for name, value in ({"duration": 0.06, "seed": 5} | options).items():
            argv += [f"--{name.replace('_', '-')}", str(value)]
        code = main(argv)
        printed = capsys.readouterr()
        paths = [Path(line) for line in printed.out.splitlines()]
        return code, sorted(paths, key=_place), printed.err

    return run


def test_sounds_are_those_of_the_python_call(call, saved):
    code, paths, _ = call(*PROMPTS, batch_size=2)
    assert code == 0
    expected = AudioGen.from_pretrained(saved).generate(PROMPTS, duration=0.06, seed=5)
    for path, sound in zip(paths, expected, strict=True):
        written, rate = read_audio(path)
        assert rate == 16000
        peak = sound.abs().max().clamp(min=1)
        torch.testing.assert_close(written, sound / peak, rtol=0, atol=1e-4)


def test_names_are_safe_unique_and_say_prompt_and_seed(call, tmp_path):
    _, paths, _ = call(*PROMPTS, "犬が吠える", "x" * 400)
    assert len({path.name for path in paths}) == 5
    assert all(path.parent == tmp_path / "out" for path in paths)
    assert paths[1].name.startswith("rain-on-a-tin-roof_seed5_")
    assert paths[3].name.startswith("sound_seed5_")
    assert len(paths[4].name) < 80
    assert all(set(path.name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_.") for path in paths)


def test_a_record_says_how_a_sound_was_made(call, saved):
    _, paths, _ = call("rain", guidance_scale=2, top_k=7)
    record = json.loads(paths[0].with_suffix(".json").read_text())
    assert record["prompt"] == "rain"
    assert (record["seed"], record["item"]) == (5, 0)
    assert record["settings"] == {
        "duration": 0.06,
        "guidance_scale": 2.0,
        "temperature": 1.0,
        "top_k": 7,
        "top_p": 0.0,
    }
    assert record["licence"] == "CC0-1.0"
    assert record["model"] == str(saved)
    assert len(record["model_hash"]) == 64
    assert record["samples"] == 30 * 32


def test_a_second_run_makes_only_what_is_missing(call, monkeypatch):
    _, first, _ = call(*PROMPTS)
    first[1].unlink()
    first[2].with_suffix(".json").unlink()  # as if killed between sound and record
    untouched = first[0].stat().st_mtime_ns
    made = []
    write = Writer.__call__
    monkeypatch.setattr(
        Writer, "__call__", lambda self, job, *a: made.append(job.path) or write(self, job, *a)
    )
    code, second, messages = call(*PROMPTS)
    assert code == 0
    assert sorted(made) == sorted(first[1:])
    assert sorted(second) == sorted(first)
    assert first[0].stat().st_mtime_ns == untouched
    assert "1 of 3 were there already" in messages
    made.clear()
    assert call(*PROMPTS)[0] == 0
    assert made == []


def test_a_resumed_run_gives_the_sounds_of_an_undisturbed_one(call):
    _, whole, _ = call(*PROMPTS, out="whole", batch_size=3)
    _, parts, _ = call(PROMPTS[0], out="parts")
    _, parts, _ = call(*PROMPTS, out="parts", batch_size=1)
    for one, other in zip(whole, parts, strict=True):
        difference = read_audio(one)[0] - read_audio(other)[0]
        assert difference.abs().max() <= 2**-15  # a batch of another size may round once


@pytest.mark.parametrize("spoil", ["sound", "record", "other record"])
def test_what_is_damaged_is_made_again(call, spoil):
    _, (path,), _ = call("rain")
    whole = path.read_bytes()
    if spoil == "sound":
        path.write_bytes(whole[:60])
    else:
        path.with_suffix(".json").write_text("[]" if spoil == "record" else "{}")
    assert call("rain")[0] == 0
    assert path.read_bytes() == whole
    assert json.loads(path.with_suffix(".json").read_text())["prompt"] == "rain"


def test_nothing_is_overwritten_by_other_settings(call):
    _, first, _ = call("rain")
    data = first[0].read_bytes()
    for change in ({"seed": 6}, {"temperature": 0.5}, {"duration": 0.08}):
        _, other, _ = call("rain", **change)
        assert other[0] != first[0]
    assert first[0].read_bytes() == data


def test_a_file_of_prompts(call, tmp_path):
    file = tmp_path / "prompts.csv"
    file.write_text('id,caption,seed\nclip-1,"rain, then thunder",\nclip-2,a dog,9\n')
    code, paths, _ = call(prompts=file)
    assert code == 0
    assert [path.name for path in paths] == ["clip-1.wav", "clip-2.wav"]
    records = [json.loads(path.with_suffix(".json").read_text()) for path in paths]
    assert [(record["seed"], record["item"]) for record in records] == [(5, 0), (9, 0)]
    code, _, messages = call(prompts=file, top_k=3)
    assert code == 2
    assert "clip-1.wav was made with another prompt, seed, model, settings or format" in messages


def test_without_a_duration_it_is_the_longest_window(call, saved, tmp_path):
    assert main(["generate", "rain", "--model", str(saved), "--out", str(tmp_path)]) == 0
    (path,) = tmp_path.glob("rain*.wav")
    assert read_audio(path)[0].shape[-1] == 50 * 32


def test_loud_sounds_are_turned_down_not_cut(call, saved):
    model = AudioGen.from_pretrained(saved)
    with torch.no_grad():
        model.codec.decoder.layers[-1].conv.bias.fill_(3.0)
    model.save_pretrained(saved)
    _, paths, _ = call("rain")
    written = read_audio(paths[0])[0]
    assert written.abs().max() <= 1
    assert (written == written.max()).sum() < 5
    assert json.loads(paths[0].with_suffix(".json").read_text())["peak_before_writing"] > 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"duration": "1e9"}, "does not fit into a .wav file, which holds 134215 s at 16000 Hz"),
        ({"duration": "0.0009"}, "duration of 0.0009 s is shorter than one frame: ask for 0.002 s"),
        ({"text_encoder": "t5-small"}, "leave --text-encoder out"),
    ],
)
def test_mistakes(call, tmp_path, options, message):
    code, paths, messages = call("rain", **options)
    assert (code, paths) == (2, [])
    assert message in messages.splitlines()[-1]
    assert not list((tmp_path / "out").glob("*"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"duration": "1e-9"}, "shorter than one frame"),
        ({"out": "file"}, "file is a file: name a folder for the sounds"),
        ({"out": "file/below"}, "file is a file: name a folder for the sounds"),
    ],
)
def test_mistakes_are_found_before_the_model_is_loaded(
    call, tmp_path, monkeypatch, options, message
):
    (tmp_path / "file").write_text("kept")
    monkeypatch.setattr(AudioGen, "from_pretrained", lambda *_, **__: pytest.fail("loaded"))
    code, paths, messages = call("rain", **options)
    assert (code, paths) == (2, [])
    assert message in messages
    assert messages.rstrip("\n").count("\n") <= 1  # what is read, and what is wrong
    assert (tmp_path / "file").read_text() == "kept"


def test_a_codec_cannot_generate(model, tmp_path, capsys):
    path = save_codec(model.codec, tmp_path / "codec")
    assert main(["generate", "rain", "--model", str(path)]) == 2
    assert "is a codec, not a whole model" in capsys.readouterr().err


def test_level_is_set_on_request_and_recorded(call):
    _, plain, _ = call("rain")
    _, loud, _ = call("rain", level="loudness")
    _, soft, _ = call("rain", level="peak")
    assert len({*plain, *loud, *soft}) == 3
    assert "level" not in json.loads(plain[0].with_suffix(".json").read_text())["settings"]
    assert json.loads(loud[0].with_suffix(".json").read_text())["settings"]["level"] == "loudness"
    waveform, rate = read_audio(soft[0])
    assert waveform.abs().max().item() == pytest.approx(10 ** (-1 / 20), abs=1e-4)
    waveform, rate = read_audio(loud[0])
    assert loudness(waveform, rate) == pytest.approx(-14.3, abs=0.3)  # tanh takes a little
    code, _, message = call("rain", level="lufs")
    assert code == 2
    assert "--level" in message

"""The ways to ask for a sound: each option reaches the sound, the file and the record."""

import json
import shlex
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace

import pytest
import soundfile as sf
import torch

from audiogen import embedded
from audiogen.audio import audio_info, read_audio, read_tags, write_audio
from audiogen.cli import main
from audiogen.cli.making import _tell
from audiogen.level import loudness
from audiogen.pipeline import AudioGen


@pytest.fixture
def call(saved, tmp_path, capsys):
    """Run the command; return records by place and seed, and what was said."""

    def run(*words, out="out", code=0):
        argv = ["generate", *map(str, words), "--model", str(saved), "--out", str(tmp_path / out)]
        if not any(word in ("--duration", "--prompts") for word in words):
            argv += ["--duration", "0.06"]
        assert main(argv) == code, capsys.readouterr().err
        printed = capsys.readouterr()
        records = [
            json.loads(Path(line).with_suffix(".json").read_text(encoding="utf-8"))
            for line in printed.out.splitlines()
        ]
        return sorted(records, key=lambda r: (r["item"], r["seed"])), printed.err

    return run


@pytest.fixture
def sound_of(tmp_path):
    return lambda record, out="out": read_audio(tmp_path / out / record["file"])[0]


def same(one, other):
    return (one - other.to(one).clamp(-1, 1)).abs().max() <= 2**-14


def test_variations_are_the_sounds_of_the_next_seeds(call, sound_of):
    records, _ = call("rain", "wind", "--variations", 3, "--seed", 5)
    assert [(r["item"], r["seed"]) for r in records] == [(i, s) for i in (0, 1) for s in (5, 6, 7)]
    others, _ = call("rain", "wind", "--seed", 6, out="other")
    assert same(sound_of(others[1], "other"), sound_of(records[4]))
    assert not same(sound_of(records[0]), sound_of(records[1]))


def test_the_command_in_a_record_makes_the_sound_again(call, sound_of, tmp_path, saved):
    """Alone, from the words that the record has."""
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"prompt": "--rain $HOME \'犬\'"}\n{"prompt": "a dog", "guidance_scale": 2}\n')
    options = [
        "--top-k",
        9,
        "--temperature",
        0.8,
        "--format",
        "flac",
        "--guidance-window",
        "0:0.03",
    ]
    records, _ = call("--prompts", rows, "--duration", 0.05, "--seed", 3, *options)
    for record in records:
        words = shlex.split(record["command"])
        assert words[:2] == ["audiogen", "generate"]
        again = tmp_path / "again"
        assert main([*words[1:2], "--out", str(again), *words[2:]]) == 0
        path = again / record["file"]  # the same name: it is the same identity
        assert same(read_audio(path)[0], sound_of(record))


def test_an_hour_and_a_millisecond(call, saved, tmp_path, monkeypatch):
    _, said = call("rain", "--duration", 0.001, code=2)
    assert "duration of 0.001 s is shorter than one frame: ask for 0.002 s or more" in said
    asked = {}

    def note(self, captions, *, durations, **options):
        asked["durations"] = list(durations)
        return iter(())

    monkeypatch.setattr(AudioGen, "generate_each", note)
    call("rain", "--duration", 3600)
    assert asked["durations"] == [3600.0]


@pytest.mark.parametrize("scale", [0, 1, -2, 10])
def test_guidance_of_any_scale(call, sound_of, saved, scale):
    (record,), _ = call("rain", "--guidance-scale", scale, "--seed", 2)
    assert record["settings"]["guidance_scale"] == scale
    expected = AudioGen.from_pretrained(saved).generate(
        ["rain"], duration=0.06, seed=2, guidance_scale=scale
    )[0]
    assert same(sound_of(record), expected / expected.abs().max().clamp(min=1))


def test_a_top_k_beyond_the_codebook_keeps_all_codes(call, sound_of):
    (most,), _ = call("rain", "--top-k", 10**6)
    (all_codes,), _ = call("rain", "--top-k", 0, out="all")
    assert same(sound_of(most), sound_of(all_codes, "all"))


def test_greedy_is_temperature_0_whatever_the_seed(call, sound_of):
    (greedy,), _ = call("rain", "--greedy", "--seed", 1)
    (cold,), _ = call("rain", "--temperature", 0, "--seed", 2, out="cold")
    assert same(sound_of(greedy), sound_of(cold, "cold"))
    assert greedy["settings"]["greedy"] is True


def test_the_best_of_some_is_named_with_its_scores(call, sound_of, saved):
    (record,), said = call("rain", "--best-of", 3, "--seed", 4)
    assert "each sound is the best of 3 by likelihood" in said
    assert record["settings"]["best_of"] == 3
    assert record["scorer"] == "likelihood"
    assert len(record["scores"]) == 3
    assert record["score"] == max(record["scores"])
    (made,) = AudioGen.from_pretrained(saved).generate_each(
        ["rain"], durations=0.06, seeds=[(4, 0)], best_of=3, scorer="likelihood"
    )
    expected = made.waveform
    assert same(sound_of(record), expected / expected.abs().max().clamp(min=1))
    _, said = call("rain", "--best-of", 2, "--scorer", "clap", code=2)
    assert "clap" in said
    assert said.count("\n") <= 2


def test_two_steps_change_no_sound(call, sound_of):
    (one,), _ = call("rain", "--guidance-scale", 2)
    (two,), _ = call("rain", "--guidance-scale", 2, "--two-step", out="two")
    assert same(sound_of(one), sound_of(two, "two"))


@pytest.mark.parametrize("fast", ["near", "fast"])
def test_fast_is_both_and_recorded(call, saved, fast, monkeypatch):
    asked = {}
    load = AudioGen.from_pretrained

    def note(*arguments, **options):
        asked.update(options)
        return load(*arguments, **options)

    monkeypatch.setattr(AudioGen, "from_pretrained", note)
    (record,), _ = call("rain", "--fast", fast)
    assert (asked["codec_fast"], asked["lm_fast"]) == (fast, fast)
    assert record["settings"]["fast"] == fast
    assert f"--fast {fast}" in record["command"]


@pytest.mark.parametrize(
    ("rate", "channels", "level"), [(16000, 1, 0.5), (44100, 2, 0.5), (8000, 1, 0.0)]
)
def test_a_sound_is_continued(call, sound_of, saved, tmp_path, rate, channels, level):
    """Of another rate, in stereo, silent: it is in the sound, as the codec renders it."""
    start = level * torch.randn(channels, rate // 25, generator=torch.Generator().manual_seed(1))
    write_audio(tmp_path / "start.wav", start.clamp(-1, 1), rate)
    words = ["--continue", tmp_path / "start.wav", "--duration", 0.1, "--seed", 6]
    records, _ = call("rain", "wind", *words)
    model = AudioGen.from_pretrained(saved)
    heard, _ = read_audio(tmp_path / "start.wav")
    expected = model.generate_continuation(
        heard.expand(2, -1, -1), rate, ["rain", "wind"], duration=0.1, seed=6
    )
    for record, sound in zip(records, expected, strict=True):
        assert record["samples"] == 50 * 32
        assert same(sound_of(record), sound / sound.abs().max().clamp(min=1))
    write_audio(tmp_path / "start.wav", 0.5 * start.clamp(-1, 1) + 0.1, rate)
    others, _ = call("rain", "wind", *words)
    assert {r["file"] for r in others}.isdisjoint(r["file"] for r in records)


def test_the_best_continuation_of_some_is_named_with_its_scores(call, sound_of, saved, tmp_path):
    start = torch.rand(1, 640, generator=torch.Generator().manual_seed(3)) - 0.5
    write_audio(tmp_path / "start.wav", start, 16000)
    words = ["rain", "--continue", tmp_path / "start.wav", "--duration", 0.1, "--seed", 6]
    (record,), said = call(*words, "--best-of", 3)
    assert "each sound is the best of 3 by likelihood" in said
    assert (record["scorer"], record["n"], len(record["scores"])) == ("likelihood", 3, 3)
    assert record["score"] == max(record["scores"])
    model = AudioGen.from_pretrained(saved)
    codes = model.encode(*read_audio(tmp_path / "start.wav"))
    best = model.generate_codes(["rain"], duration=0.1, prompt_codes=codes, seed=6, best_of=3)
    expected = model.decode(best)[0]
    assert same(sound_of(record), expected / expected.abs().max().clamp(min=1))


def test_a_start_that_is_too_short_is_named(call, tmp_path, monkeypatch):
    """Empty, or less than the convolutions of some codecs can pad."""
    sf.write(tmp_path / "start.wav", [], 16000)
    _, said = call("rain", "--continue", tmp_path / "start.wav", code=2)
    assert "start.wav" in said.splitlines()[-1]
    sf.write(tmp_path / "start.wav", [0.5], 16000)

    def refuse(*_):
        raise RuntimeError("padding size should be less than the input")

    monkeypatch.setattr(AudioGen, "encode", refuse)
    _, said = call("rain", "--continue", tmp_path / "start.wav", code=2)
    assert "start.wav: 1 samples at 16000 Hz cannot be continued: padding" in said.splitlines()[-1]


def test_a_start_that_leaves_nothing_to_make(call, tmp_path, monkeypatch):
    monkeypatch.setattr(AudioGen, "from_pretrained", None)  # it is said before that
    write_audio(tmp_path / "start.wav", torch.zeros(1, 3200), 16000)
    _, said = call("rain", "--continue", tmp_path / "start.wav", "--duration", 0.1, code=2)
    assert "start.wav is 0.2 s: --duration, which includes it, must be more than that" in said
    assert said.splitlines()[-1].startswith("error:")  # no page of nothing
    (tmp_path / "start.wav").write_text("no sound")
    _, said = call("rain", "--continue", tmp_path / "start.wav", code=2)
    assert "not audio that can be read" in said.splitlines()[-1]


def test_rows_of_other_lengths_and_guidance(call, tmp_path, sound_of, saved):
    rows = tmp_path / "rows.csv"
    rows.write_text("prompt;duration;guidance_scale\nrain;0.02;\nwind;0.15;1\ndog;;\n")
    records, _ = call("--prompts", rows, "--seed", 8)
    assert [r["samples"] for r in records] == [10 * 32, 75 * 32, 50 * 32]
    assert [r["settings"]["guidance_scale"] for r in records] == [3.0, 1.0, 3.0]
    expected = AudioGen.from_pretrained(saved).generate(
        ["wind"], duration=0.15, seeds=[(8, 1)], guidance_scale=1.0
    )[0]
    assert same(sound_of(records[1]), expected / expected.abs().max().clamp(min=1))


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("duration", "0.0001", "shorter than one frame"),
        ("duration", "1e7", "does not fit into a .wav file"),
        ("guidance_scale", "-1e39", "must be -1e+06 to 1e+06, got -1e+39"),
    ],
)
def test_what_a_row_asks_for_in_vain_is_named_by_its_line(call, tmp_path, column, value, said):
    rows = tmp_path / "rows.csv"
    rows.write_text(f"prompt,{column}\nrain,\nwind,{value}\n")
    _, error = call("--prompts", rows, code=2)
    assert f"error: {rows}:3: " in error
    assert said in error


def test_a_guidance_beyond_float32_is_not_blamed_on_the_model(call):
    for scale in ("1e308", "-1e39"):
        _, error = call("rain", "--guidance-scale", scale, code=2)
        assert "error: guidance_scale must be -1e+06 to 1e+06" in error.splitlines()[-1]


def test_loudness_and_tags_reach_the_file(call, tmp_path):
    (record,), _ = call("rain", "--duration", 0.6, "--loudness", "-20", "--format", "flac")
    path = tmp_path / "out" / record["file"]
    assert loudness(*read_audio(path)) == pytest.approx(-20, abs=0.1)
    assert record["settings"]["loudness"] == -20
    assert json.loads(read_tags(path)["comment"])["model_hash"] == record["model_hash"]
    assert audio_info(path).sample_rate == 16000


def test_a_shard_that_has_nothing_to_do(call, tmp_path):
    records, said = call("rain", "--shard", "2/2")
    assert records == []
    assert said == "there are fewer sounds than shards: none for 2/2\n"


def test_where_no_terminal_is_the_bar_is_lines(call):
    """As in the log of a job: no carriage return, and nothing that runs into another line."""
    _, said = call("rain", "wind")
    assert "\r" not in said
    assert said.endswith("\n")
    assert any(line.startswith("2 sounds: 100%") for line in said.splitlines())


def test_the_page_keeps_the_order_asked_for(call, tmp_path, capsys):
    """Whatever order batches are made in."""
    rows = tmp_path / "rows.jsonl"
    seconds = (0.02, 0.06, 0.04)
    rows.write_text("".join(f'{{"prompt": "p{s}", "duration": {s}}}\n' for s in seconds))
    _, said = call("--prompts", rows)
    assert "index.html" in said
    text = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    places = [text.index(f'"prompt": "p{s}"') for s in seconds]
    assert places == sorted(places)


def test_a_very_long_sound_is_announced(capsys):
    """Windows of 3 s, and then steps of a fifth of that: 3 + 0.6 n >= 700 s."""
    model = SimpleNamespace(device="cpu", max_duration=3.0, frame_rate=50.0)
    args = Namespace(debug=False, best_of=1, scorer=None)
    _tell(args, model, longest=700.0)
    assert "a sound of 700 s is made of 1163 windows of 3 s" in capsys.readouterr().err
    _tell(args, model, longest=60.0)
    assert "windows" not in capsys.readouterr().err


def test_no_page(call, tmp_path):
    call("rain", "--no-page")
    assert not (tmp_path / "out" / "index.html").exists()
    call("rain")
    assert (tmp_path / "out" / "index.html").is_file()


def test_without_a_model_it_is_the_one_that_is_built_in(saved, tmp_path, monkeypatch, capsys):
    """A model of random weights stands for it; the name leads to its folder."""
    (saved / embedded.WORDS).write_text("a\ndog\n")
    monkeypatch.setattr(embedded, "FOLDER", saved)
    embedded.known_words.cache_clear()
    argv = ["generate", "a purple dog", "--duration", "0.02", "--out", str(tmp_path / "out")]
    assert main(argv) == 0
    printed = capsys.readouterr()
    lines = printed.err.splitlines()
    assert lines[:2] == embedded.about().splitlines()
    assert lines[2] == "words it does not know: purple"
    record = json.loads(Path(printed.out.strip()).with_suffix(".json").read_text())
    assert record["model"] == "embedded"
    assert "--model" not in record["command"]
    assert main([*argv, "--model", "embedded"]) == 0
    assert capsys.readouterr().out == printed.out  # was there already
    assert main(["info"]) == 0
    assert str(saved) in capsys.readouterr().out
    monkeypatch.setattr(embedded, "FOLDER", tmp_path)
    assert main(argv) == 2
    assert "no model given: train one with `make demo`" in capsys.readouterr().err
    assert main(["info"]) == 2
    assert "no model given: train one with `make demo`" in capsys.readouterr().err
    embedded.known_words.cache_clear()

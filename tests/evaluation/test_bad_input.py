"""What users hand in: every mistake is named, counted, and ends in exit code 2 without a number."""

import json
import re
import shutil

import numpy as np
import pytest
import soundfile

from evaluation.__main__ import main

PROGRESS = re.compile(r"^\w+: (network loaded|features of \d+ \w+) in .* s.*\n", re.MULTILINE)


@pytest.fixture
def score(folders, captions, tiny, tmp_path, capsys):
    """Run the command with tiny networks.

    Returns exit code, report or None, and stderr but for the lines that say how far the work is.
    """

    def call(*arguments, protocol="audiocraft", sanity="--no-sanity"):
        file = tmp_path / "r.json"
        file.unlink(missing_ok=True)
        code = main(
            [
                *map(str, folders), "--captions", str(captions), "--weights", str(tiny.weights),
                "--protocol", str(protocol), "--json", str(file), sanity, *map(str, arguments),
            ]
        )  # fmt: skip
        captured = capsys.readouterr()
        assert captured.out == ""
        report = json.loads(file.read_text()) if file.exists() else None
        return code, report, PROGRESS.sub("", captured.err)

    return call


@pytest.fixture
def refused(score):
    """Run the command, which must end in one line and without a report."""

    def call(*arguments, **options):
        code, report, said = score(*arguments, **options)
        assert code == 2, said
        assert report is None
        assert said.count("\n") == 1
        assert said.startswith("error: ")
        assert "Traceback" not in said
        return said

    return call


def noise(seconds, *, rate=16000, channels=1, seed=0):
    shape = (round(seconds * rate), channels)
    return 0.1 * np.random.default_rng(seed).standard_normal(shape)


def test_good_folders_are_scored(score):
    code, report, _ = score()
    assert code == 0
    assert len(report["scores"]) == 4


def test_unpaired_files(refused, folders):
    for i in (3, 5):
        (folders[1] / f"clip{i:02d}.wav").unlink()
    assert "2 of 12 reference files have no counterpart" in (said := refused())
    assert "clip03, clip05" in said


def test_extra_files(refused, score, folders):
    soundfile.write(folders[1] / "more.wav", noise(1.5), 16000)
    assert "1 of 13 generated files have no counterpart" in refused()
    code, report, said = score("--allow-extra")
    assert (code, report["data"]["pairs"]) == (0, 12)
    assert "1 generated files without a reference left out: more" in said


def test_hidden_files_tables_and_subfolders_are_not_sounds(score, folders):
    plain = score()[1]
    for folder in folders:
        (folder / ".DS_Store").write_bytes(b"\0\1")
        (folder / "._clip01.wav").write_bytes(b"\0\1")
        (folder / "captions.csv").write_text("name,caption\n")
        (folder / "more").mkdir()
    assert score()[1]["scores"] == plain["scores"]


def test_other_containers_of_the_same_sound_are_the_same_sound(score, folders):
    plain = score()[1]
    for folder in folders:
        for i in (1, 2):
            samples, rate = soundfile.read(folder / f"clip{i:02d}.wav", dtype="int16")
            (folder / f"clip{i:02d}.wav").unlink()
            soundfile.write(folder / f"clip{i:02d}.FLAC", samples, rate, format="FLAC")
    assert score("--no-cache")[1]["scores"] == plain["scores"]


def test_mixed_rates_and_channels(score, folders):
    """Two equal channels are that channel; other rates are brought to each network's."""
    plain = score()[1]
    for folder in folders:
        samples, rate = soundfile.read(folder / "clip04.wav", dtype="int16")
        soundfile.write(folder / "clip04.wav", np.stack([samples, samples], axis=1), rate)
    stereo = score()[1]
    for key, entry in plain["scores"].items():
        assert stereo["scores"][key]["value"] == pytest.approx(entry["value"], rel=1e-6), key
    for folder, rate in ((folders[0], 44100), (folders[1], 8000)):
        soundfile.write(folder / "clip05.wav", noise(1.5, rate=rate, channels=3), rate)
    code, report, _ = score()
    assert code == 0
    assert all(np.isfinite(entry["value"]) for entry in report["scores"].values())


@pytest.mark.parametrize("where", [0, 1])
def test_nan(refused, folders, where):
    for i in (2, 7):
        samples = noise(1.5)
        samples[100] = np.nan if i == 2 else np.inf
        soundfile.write(folders[where] / f"clip{i:02d}.wav", samples, 16000, subtype="FLOAT")
    assert "clip02.wav: holds samples that are NaN or infinite" in (said := refused())
    assert "2 of 12 pairs cannot be scored" in said


@pytest.mark.parametrize("workers", ["0", "2"])
def test_silence(refused, folders, workers):
    for i in (2, 7, 11):
        soundfile.write(folders[1] / f"clip{i:02d}.wav", np.zeros(24000), 16000)
    assert "clip02.wav: silent" in (said := refused("--workers", workers))
    assert "3 of 12 pairs cannot be scored" in said


def test_short_references_are_left_out_and_short_outputs_are_named(score, folders):
    soundfile.write(folders[0] / "clip06.wav", noise(0.1), 16000)
    code, report, said = score()
    assert (code, report["data"]["pairs"]) == (0, 11)
    assert "1 of 12 pairs left out" in said
    soundfile.write(folders[1] / "clip07.wav", noise(0.1), 16000)
    code, report, said = score()
    assert "1 of 11 generated sounds are more than 0.1 s shorter" in said
    assert "1 of 11 generated sounds are too short for vggish" in said


def test_sounds_too_short_for_a_network_are_counted(refused, folders, tmp_path):
    """Where the card does not drop them: a score of the others would be of another set."""
    from evaluation.protocols.card import load_protocol

    card = load_protocol("audiocraft").changed("name", "mine")
    card = card.changed("features.vggish.short", "refuse")
    (tmp_path / "card.json").write_text(json.dumps(card.to_dict()))
    for i in (6, 8):
        soundfile.write(folders[1] / f"clip{i:02d}.wav", noise(0.1), 16000)
    assert "vggish needs 0.5 s of sound, got 0.100 s" in (
        said := refused(protocol=tmp_path / "card.json")
    )
    assert "clip06.wav" in said
    assert "2 of 12 pairs cannot be scored" in said


def test_fewer_clips_than_dimensions_are_said(score, folders):
    for folder in folders:
        for i in range(2, 12):
            (folder / f"clip{i:02d}.wav").unlink()
    code, report, said = score()
    assert (code, report["data"]["pairs"]) == (0, 2)
    assert "for 6 dimensions" in said or "biased" in said


def test_one_clip_has_no_distribution(score, refused, folders):
    for folder in folders:
        for i in range(1, 12):
            (folder / f"clip{i:02d}.wav").unlink()
    code, report, said = score()
    assert code == 0
    assert report["scores"]["fad_vggish"]["value"] is None
    assert "one clip says nothing about a set" in report["scores"]["fad_vggish"]["reason"]
    assert (report["scores"]["kld_passt"]["n"], report["scores"]["kld_passt"]["interval"]) == (
        1,
        None,
    )
    assert "one clip says nothing" in said
    only = refused("--metrics", "fad_vggish")
    assert "no metric has a value" in only
    assert "one clip says nothing about a set" in only


def test_captions_missing_for_some(refused, captions):
    captions.write_text("\n".join(captions.read_text().splitlines()[:10]))
    assert "3 of 12 sounds have no caption" in (said := refused())
    assert "clip09, clip10, clip11" in said


@pytest.mark.parametrize("content", ["<!DOCTYPE html>", "", "vggis", "passt"])
def test_a_wrong_or_cut_weights_file(refused, tiny, content):
    (tiny.weights / "vggish-10086976.pth").write_text(content)
    said = refused()
    assert "vggish-10086976.pth: not the weights of vggish" in said


def test_no_weights_at_all(refused, tiny):
    shutil.rmtree(tiny.weights)
    said = refused()
    assert "protocol audiocraft cannot be computed" in said
    assert "python -m evaluation fetch --protocol audiocraft" in said


def test_a_metric_asked_for_by_name_without_its_weights(refused, tiny):
    (tiny.weights / "vggish-10086976.pth").unlink()
    said = refused("--metrics", "kld_passt", "fad_vggish")
    assert "fad_vggish cannot be computed: weights missing" in said


def test_features_that_are_not_finite_are_no_features(refused, tiny, monkeypatch):
    whole = tiny.Tiny.run

    def run(self, windows):
        return {key: rows * float("nan") for key, rows in whole(self, windows).items()}

    monkeypatch.setattr(tiny.Tiny, "run", run)
    assert "values that are not finite" in refused()


def test_a_cache_that_is_a_file(refused, tmp_path):
    (tmp_path / "file").write_text("")
    assert "no cache in" in refused("--cache", tmp_path / "file")


def test_a_worker_that_is_killed_is_said(score, tiny, monkeypatch):
    """As by the kernel, when memory runs out."""
    import os
    import signal

    monkeypatch.setattr(
        tiny.Tiny, "windows", lambda self, waveform: os.kill(os.getpid(), signal.SIGKILL)
    )
    code, report, said = score("--workers", "1", "--no-cache")
    assert code == 1
    assert report is None
    assert "take fewer" in said
    assert said.count("\n") == 1

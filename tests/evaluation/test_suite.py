import shutil

import numpy as np
import pytest
import soundfile

from evaluation import evaluate
from evaluation.audio import AudioError
from evaluation.protocols.card import load_protocol


def test_demo_protocol_scores_everything_it_lists(folders):
    report = evaluate(*folders, protocol="demo", date="2026-01-01")
    assert list(report.scores) == ["frechet_logmel_standin", "level_difference_db"]
    assert report.not_computed == {}
    level = report.scores["level_difference_db"]
    assert level.value == pytest.approx(-6.02, abs=0.1)
    assert level.interval[0] <= level.value <= level.interval[1]
    assert level.n == report.data["pairs"] == len(report.items) == 12
    assert report.scores["frechet_logmel_standin"].value > 1
    assert report.provenance["date"] == "2026-01-01"
    assert report.protocol["name"] == "demo"


def test_copies_of_the_references_are_at_distance_zero_and_noticed(folders, tmp_path):
    copies = tmp_path / "copies"
    shutil.copytree(folders[0], copies)
    report = evaluate(folders[0], copies, protocol="demo")
    assert abs(report.scores["frechet_logmel_standin"].value) < 1e-6
    assert report.scores["level_difference_db"].value == 0.0
    assert "12 of 12 generated files are byte-identical to their reference" in report.warnings


def test_scoring_twice_is_bit_equal_and_names_do_not_matter(folders):
    first, second = (evaluate(*folders, protocol="demo").to_dict() for _ in range(2))
    assert first == second


def test_a_card_without_any_of_its_networks_is_refused(folders, tmp_path):
    """What is left of it would be a set of stand-ins under a published name."""
    with pytest.raises(ValueError, match="protocol audiocraft cannot be computed") as caught:
        evaluate(*folders, protocol="audiocraft", weights=tmp_path)
    said = str(caught.value)
    for file in ("vggish-10086976.pth", "passt-s-f128", "music_audioset_epoch_15"):
        assert file in said
    assert f"fetch --protocol audiocraft --folder {tmp_path}" in said
    assert "--random-weights" in said


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"metrics": "si_sdr"},
            r"metrics is a list of keys, got the text 'si_sdr': pass \['si_sdr'",
        ),
        ({"metrics": []}, "metrics is an empty list; None takes all"),
        ({"captions": {"a": "b"}}, r"captions must be the path of a file or folder, got \{'a'"),
        ({"weights": 5}, "weights must be the path of a file or folder, got 5"),
    ],
)
def test_what_is_handed_in_of_the_wrong_kind_is_named(folders, given, said):
    with pytest.raises(ValueError, match=said):
        evaluate(*folders, protocol="demo", **given)


def test_what_cannot_be_computed_is_listed_with_the_reason(folders, tiny):
    (tiny.weights / "vggish-10086976.pth").unlink()
    report = evaluate(*folders, protocol="audiocraft", weights=tiny.weights)
    assert set(report.not_computed) == {"fad_vggish", "clap_score"}
    assert not set(report.not_computed) & set(report.scores)
    assert "weights missing" in report.not_computed["fad_vggish"]
    assert report.not_computed["clap_score"] == "it needs --captions"
    text = report.to_text()
    assert text.startswith("INCOMPLETE: 2 of 4 metrics not computed: fad_vggish, clap_score\n")
    assert text.count("\nnot computed: ") == 2


def test_the_audiocraft_level_rule_moves_the_distance_and_not_the_level(folders):
    keys = ["frechet_logmel_standin", "level_difference_db"]
    card, level_rule = load_protocol("demo"), load_protocol("audiocraft").generated
    demo, audiocraft = (
        evaluate(*folders, protocol=changed, metrics=keys)
        for changed in (card, card.changed("generated", level_rule))
    )
    assert any("of the files" in note for note in audiocraft.notes())
    assert not any("of the files" in note for note in demo.notes())
    key = "level_difference_db"
    assert demo.scores[key].value == audiocraft.scores[key].value
    key = "frechet_logmel_standin"
    assert demo.scores[key].value != pytest.approx(audiocraft.scores[key].value, rel=0.1)


def test_a_metric_asked_for_by_name_must_be_computable(folders, tmp_path):
    only = evaluate(*folders, protocol="demo", metrics=["level_difference_db"])
    assert list(only.scores) == ["level_difference_db"]
    with pytest.raises(ValueError, match=r"fad_vggish cannot be computed: weights missing"):
        evaluate(*folders, metrics=["fad_vggish"], weights=tmp_path)
    with pytest.raises(ValueError, match="protocol demo does not define it"):
        evaluate(*folders, protocol="demo", metrics=["fad_vggish"])


def test_captions_reach_the_items(folders, tmp_path):
    path = tmp_path / "captions.csv"
    rows = "".join(f"clip{i:02d}.wav,burst {i}\n" for i in range(12))
    path.write_text("file,caption\n" + rows)
    report = evaluate(*folders, captions=path, protocol="demo")
    assert report.items[3]["captions"] == ["burst 3"]
    assert report.data["captions"]["file"] == str(path)


def test_extra_files_are_recorded_when_allowed(folders):
    shutil.copy(folders[1] / "clip00.wav", folders[1] / "zz.wav")
    report = evaluate(*folders, protocol="demo", allow_extra=True)
    assert report.data["extra_generated"] == ["zz"]
    assert "1 generated files without a reference left out: zz" in report.warnings
    assert report.data["pairs"] == 12


def test_short_references_are_left_out_and_listed(folders):
    for folder in folders:
        soundfile.write(folder / "short.wav", np.full(8000, 0.1), 16000)
    report = evaluate(*folders, protocol="audiocraft", metrics=["level_difference_db"])
    assert report.data["pairs"] == 12
    assert [entry["name"] for entry in report.data["excluded"]] == ["short"]
    assert "lasts 0.500 s, less than 1.0 s" in report.data["excluded"][0]["reason"]
    assert any("1 of 13 pairs left out" in warning for warning in report.warnings)
    assert evaluate(*folders, protocol="demo").data["pairs"] == 13


def test_a_protocol_that_leaves_nothing_says_so(tmp_path):
    for name in ("r", "g"):
        (tmp_path / name).mkdir()
        soundfile.write(tmp_path / name / "a.wav", np.full(8000, 0.1), 16000)
    with pytest.raises(AudioError, match=r"all 1 references are shorter than 1\.0 s"):
        evaluate(tmp_path / "r", tmp_path / "g", protocol="audiocraft")


def test_predictions_that_ended_early_are_named(folders):
    soundfile.write(folders[1] / "clip04.wav", np.full(8000, 0.1), 16000)
    report = evaluate(*folders, protocol="demo")
    assert any("1 of 12 generated sounds" in w and "clip04" in w for w in report.warnings)


def test_silence_is_refused_or_counted_as_the_card_says(folders):
    soundfile.write(folders[1] / "clip04.wav", np.zeros(24000), 16000)
    with pytest.raises(AudioError, match=r"clip04\.wav: silent"):
        evaluate(*folders, protocol="audiocraft", metrics=["level_difference_db"])
    report = evaluate(*folders, protocol="demo")
    assert report.scores["level_difference_db"].n == 11
    assert report.items[4]["values"]["level_difference_db"] != 0


def test_every_broken_pair_is_counted_before_the_work_starts(folders):
    (folders[0] / "clip01.wav").write_text("<html>")
    (folders[1] / "clip02.wav").write_bytes(b"")
    with pytest.raises(AudioError, match=r"clip01\.wav: not a .* 1 more broken pairs: clip02\)"):
        evaluate(*folders)

"""The official table: what is read, and every way in which a row of it can be damaged."""

from pathlib import Path

import pytest

from recipes.audiocaps_metrics.official import Clip, clips_sha256, read_test_set

from .conftest import IDS, rows_of

REAL = Path(__file__).parents[4] / "shared/data/metadata/audiocaps"


def test_clips_have_their_captions_in_the_order_of_the_rows(write_csv):
    found = read_test_set(write_csv(rows_of(IDS)))
    assert list(found.clips) == IDS
    clip = found.clips["-BUWGM7qeUM"]
    assert (clip.start, clip.name) == (10.0, "Y-BUWGM7qeUM")
    assert [c.text for c in clip.captions] == [f"sound 1 in words {k}" for k in range(5)]
    assert (found.damaged, found.uneven, found.is_v1) == ([], [], False)
    assert found.version() == "not the clips of version 1: 5 clips instead of 975"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (["9", "abcdefghijk", "0"], "3 cells instead of 4"),
        (["9", "abcdefghijk", "0", "a dog", "barks"], "5 cells instead of 4"),
        (["9", "short", "0", "a dog"], "youtube_id 'short' is not 11 letters"),
        (["9", "#NAME?", "0", "a dog"], "is what a spreadsheet made of an id"),
        (["9", "1E+10", "0", "a dog"], "is what a spreadsheet made of an id"),
        (["9", "abcdefghijk", "x", "a dog"], "start_time 'x' is no number of seconds"),
        (["9", "abcdefghijk", "-1", "a dog"], "start_time '-1' is no number of seconds"),
        (["9", "abcdefghijk", "inf", "a dog"], "start_time 'inf' is no number of seconds"),
        (["9", "abcdefghijk", "0", "  "], "no caption of abcdefghijk"),
        (["", "abcdefghijk", "0", "a dog"], "no audiocap_id of abcdefghijk"),
        (["1000", "abcdefghijk", "0", "a dog"], "audiocap_id 1000 is on line 2 too"),
        (["9", "--0w1YA1Hm4", "3", "a dog"], "begins at 0 s on another line, not 3 s"),
    ],
)
def test_a_damaged_row_is_named_with_its_line_and_the_others_stay(write_csv, row, said):
    rows = rows_of(IDS)
    found = read_test_set(write_csv([*rows[:7], row, *rows[7:]]))
    assert len(found.damaged) == 1
    assert found.damaged[0].startswith("line 9: ")
    assert said in found.damaged[0]
    assert sum(len(clip.captions) for clip in found.clips.values()) == len(rows)


def test_a_quotation_mark_that_is_never_closed_costs_one_row(write_csv):
    path = write_csv(rows_of(IDS))
    lines = path.read_text().splitlines()
    lines[3] = lines[3].replace("sound", '"sound')
    path.write_text("\n".join(lines))
    found = read_test_set(path)
    assert [text.split(":")[0] for text in found.damaged] == ["line 4"]
    assert found.uneven == [IDS[0]]


def test_marks_of_other_systems_are_no_damage(write_csv):
    path = write_csv(rows_of(IDS))
    plain = read_test_set(path)
    for newline in ("\r\n", "\r"):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_text().replace("\n", newline).encode())
        found = read_test_set(path)
        assert (found.clips, found.damaged) == (plain.clips, [])
        path.write_text("\n".join(path.read_bytes().decode("utf-8-sig").splitlines()))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no column audiocap_id"),
        (b"<!DOCTYPE html>\n<html>", "no column audiocap_id, youtube_id, start_time, caption"),
        (b"audiocap_id,youtube_id,start_time,caption\n", "none of its rows can be used"),
        (b"audiocap_id,youtube_id,start_time,caption\n1,2\n", "line 2: 2 cells instead of 4"),
        (b"audiocap_id,youtube_id,start_time,caption,caption\n", "two columns are called caption"),
        (b"\xff\xfea\0", "not UTF-8 text"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, content, said):
    path = tmp_path / "test.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=said):
        read_test_set(path)
    with pytest.raises(ValueError, match="no such file"):
        read_test_set(tmp_path / "other.csv")


def test_the_hash_is_of_the_set_and_not_of_its_order():
    clips = [Clip(youtube_id=name, start=float(i), captions=()) for i, name in enumerate(IDS)]
    assert clips_sha256(clips) == clips_sha256(clips[::-1])
    assert clips_sha256(clips) != clips_sha256(clips[1:])


@pytest.mark.skipif(not REAL.is_dir(), reason="../shared/data is not here")
def test_the_real_table_is_version_1_and_its_successor_is_not():
    found = read_test_set(REAL / "test.csv")
    assert found.version() == "version 1, all 975 clips"
    assert (len(found.clips), found.damaged, found.uneven) == (975, [], [])
    later = read_test_set(REAL / "v2.0_test_head50.csv")
    assert not later.is_v1

import os
import unicodedata

import pytest

from evaluation.folders import FolderError, pair_folders, printable, shorten, unread_sounds


def make(folder, *names):
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"x")
    return folder


def test_pairs_by_stem_sorted_across_suffixes_and_case(tmp_path):
    reference = make(tmp_path / "r", "b.wav", "a.flac", "c.1.WAV")
    generated = make(tmp_path / "g", "a.wav", "b.mp3", "c.1.ogg")
    pairs = pair_folders(reference, generated)
    assert [(p.name, p.reference.name, p.generated.name) for p in pairs] == [
        ("a", "a.flac", "a.wav"),
        ("b", "b.wav", "b.mp3"),
        ("c.1", "c.1.WAV", "c.1.ogg"),
    ]


def test_ignores_hidden_files_subfolders_and_other_suffixes(tmp_path):
    reference = make(tmp_path / "r", "a.wav", ".a.flac", "._b.wav", "captions.csv", "cover.jpg")
    (reference / "odd.wav").mkdir()
    generated = make(tmp_path / "g", "a.wav")
    assert [pair.name for pair in pair_folders(reference, generated)] == ["a"]


def test_composed_and_decomposed_names_are_one_name(tmp_path):
    name = "café"
    reference = make(tmp_path / "r", unicodedata.normalize("NFC", name) + ".wav")
    generated = make(tmp_path / "g", unicodedata.normalize("NFD", name) + ".wav")
    assert len(pair_folders(reference, generated)) == 1


def test_missing_files_are_counted_and_named(tmp_path):
    reference = make(tmp_path / "r", *(f"{c}.wav" for c in "abcdef"))
    generated = make(tmp_path / "g", "a.wav")
    with pytest.raises(FolderError, match=r"5 of 6 reference files .*: b, c, d, \.\.\.\. Generate"):
        pair_folders(reference, generated)


def test_extra_files_are_an_error_unless_allowed(tmp_path):
    reference = make(tmp_path / "r", "a.wav")
    generated = make(tmp_path / "g", "a.wav", "z.wav")
    with pytest.raises(FolderError, match=r"1 of 2 generated files .*: z\. .*--allow-extra"):
        pair_folders(reference, generated)
    assert [p.name for p in pair_folders(reference, generated, allow_extra=True)] == ["a"]


def test_two_files_of_one_name_are_ambiguous(tmp_path):
    reference = make(tmp_path / "r", "a.wav", "a.flac")
    with pytest.raises(FolderError, match=r"two files named 'a': a.flac and a.wav"):
        pair_folders(reference, make(tmp_path / "g", "a.wav"))


def test_folders_that_are_missing_empty_files_or_the_same(tmp_path):
    full = make(tmp_path / "r", "a.wav")
    with pytest.raises(FolderError, match="does not exist"):
        pair_folders(full, tmp_path / "nowhere")
    with pytest.raises(FolderError, match="is a file, not a folder"):
        pair_folders(full, full / "a.wav")
    with pytest.raises(FolderError, match="has no wav, flac, ogg, mp3 files"):
        pair_folders(full, make(tmp_path / "empty"))
    link = tmp_path / "link"
    link.symlink_to(full)
    with pytest.raises(FolderError, match="are one folder"):
        pair_folders(full, link)


def test_a_name_that_is_no_text_is_refused(tmp_path, monkeypatch):
    folders = make(tmp_path / "r", "a\udcff.wav"), make(tmp_path / "g", "a\udcff.wav")
    with pytest.raises(FolderError, match=r"a file whose name is no text: 'a.udcff'. Rename it"):
        pair_folders(*folders)
    monkeypatch.setattr("sys.getfilesystemencoding", lambda: "ascii")  # of LC_ALL=C
    with pytest.raises(FolderError, match=r"Names are read as ascii here: set LC_ALL=C\.UTF-8"):
        pair_folders(*folders)


def test_what_is_named_like_a_sound_and_is_no_file_is_refused(tmp_path):
    generated = make(tmp_path / "g", "a.wav")
    for name, put in {
        "dangling": lambda path: path.symlink_to("nowhere"),
        "loop": lambda path: path.symlink_to(path),
        "pipe": os.mkfifo,
    }.items():
        reference = make(tmp_path / name, "a.wav")
        put(reference / "b.wav")
        with pytest.raises(FolderError, match=r"b\.wav is named like a sound, and is "):
            pair_folders(reference, generated)


def test_sounds_that_are_not_read_are_found(tmp_path):
    folder = make(tmp_path / "r", "a.wav", "b.M4A", "c.opus", ".d.aif", "notes.txt")
    make(folder / "sub", "z.wav", "cover.jpg")
    make(folder / "made", "a.wav")
    found = unread_sounds(folder, beside=folder / "made")
    assert found == {
        "b.M4A": "m4a is not one of wav, flac, ogg, mp3",
        "c.opus": "opus is not one of wav, flac, ogg, mp3",
        "sub/z.wav": "in a subfolder",
    }
    with pytest.raises(FolderError, match=r"has no wav.* It has 1 others: a\.m4a"):
        pair_folders(make(tmp_path / "m4a", "a.m4a"), folder)


def test_names_in_messages_stay_on_one_line():
    assert shorten(["a\nb", "c"]) == r"a\nb, c"
    assert printable("caf\u00e9 \x1b[2J\r") == "caf\u00e9 \\x1b[2J\\r"

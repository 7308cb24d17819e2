import unicodedata

import pytest

from evaluation.folders import FolderError, pair_folders


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
    with pytest.raises(FolderError, match="the same folder"):
        pair_folders(full, link)


def test_a_name_that_is_no_text_is_refused(tmp_path):
    with pytest.raises(FolderError, match=r"a file whose name is no text: 'a.udcff'. Rename it"):
        pair_folders(make(tmp_path / "r", "a\udcff.wav"), make(tmp_path / "g", "a\udcff.wav"))

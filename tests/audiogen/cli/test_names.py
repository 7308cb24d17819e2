"""File names that every system takes."""

import pytest

from audiogen.cli.names import safe_name, same_file, slug


@pytest.mark.parametrize(
    "value", ["clip-1", "Y-8fK_x", "-dash", "a.b", "雨", 7, "constant", "comic"]
)
def test_names_that_are_kept(value):
    assert safe_name(value, place="p", column="id") == str(value)


@pytest.mark.parametrize("value", ["clip.wav", "clip.WAV", "clip.mp3", " clip.flac "])
def test_the_suffix_of_a_sound_is_not_part_of_a_name(value):
    assert safe_name(value, place="p", column="id") == "clip"


@pytest.mark.parametrize(
    "value",
    [
        *("", " ", ".", "..", ".hidden", "a.", ".wav", "x" * 201, "雨" * 67),
        *("a/b", "a\\b", "c:d", "a*", "a?", 'a"', "a<b", "a|b", "a\nb", "a\0b", "\u200b"),
        *("con", "NUL", "Com1", "lpt9.tar", "aux.wav", "con .x", "COM\u00b9"),
    ],
)
def test_names_that_some_system_would_refuse(value):
    with pytest.raises(ValueError, match=r"^p\.csv:3: id .* cannot name a file") as error:
        safe_name(value, place="p.csv:3", column="id")
    assert len(str(error.value)) < 200


def test_one_file_by_two_names():
    assert same_file("Straße") == same_file("STRASSE")
    assert same_file("caf\u00e9") == same_file("cafe\u0301")
    assert same_file("a") != same_file("b")


@pytest.mark.parametrize("text", ["CON", "../..", "", "雨", "NUL.", "x" * 5000, "a\0b"])
def test_a_slug_of_anything(text):
    made = slug(text)
    assert 0 < len(made) <= 48
    assert set(made) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")

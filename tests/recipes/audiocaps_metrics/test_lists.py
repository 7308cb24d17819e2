"""Lists of captions as others published them, each in its own form."""

import json

import pytest

from recipes.audiocaps_metrics.lists import read_list
from recipes.audiocaps_metrics.official import read_test_set

from .conftest import IDS, rows_of


@pytest.fixture
def official(write_csv):
    return read_test_set(write_csv(rows_of(IDS)))


def audioldm(rows):
    return json.dumps({"data": [{"wav": f"/mnt/part9/Y{n}.wav", "caption": t} for n, t in rows]})


def tango(rows):
    return "\n".join(json.dumps({"location": f"/d/{n}_9.wav", "captions": t}) for n, t in rows)


def audioldm_array(rows):
    return json.dumps([{"file_name": f"{n}.wav", "captions": [t]} for n, t in rows])


def table(rows):
    lines = [f'7,{n},0,"{t}"' for n, t in rows]
    return "\n".join(["audiocap_id,youtube_id,start_time,caption", *lines])


@pytest.mark.parametrize("form", [audioldm, tango, audioldm_array, table])
def test_every_form_is_read(official, tmp_path, form):
    rows = [(IDS[1], "sound 1 in words 3"), (IDS[0], "In words of its own"), ("other-id__0", "x")]
    path = tmp_path / "list"
    path.write_text(form(rows))
    found = read_list(path, official)
    assert {n: [c.text for c in cs] for n, cs in found.captions.items()} == {
        IDS[1]: ["sound 1 in words 3"],
        IDS[0]: ["In words of its own"],
    }
    assert found.captions[IDS[1]][0].id == "1013"
    assert (len(found.unknown), found.reworded) == (1, 1)


def test_several_captions_of_a_clip_and_ids_alone(official, tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("youtube_id,audiocap_id\n" + "".join(f"{IDS[2]},{1020 + k}\n" for k in (4, 1)))
    found = read_list(path, official)
    assert [c.text for c in found.captions[IDS[2]]] == ["sound 2 in words 4", "sound 2 in words 1"]
    path.write_text("audiocap_id\n1033\n")
    assert read_list(path, official).captions[IDS[3]][0].text == "sound 3 in words 3"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfe\x00", "not UTF-8 text"),
        (b'{"wav": "a"}\n{oops', "line 2: not JSON"),
        (b"[1, 2]", "entry 1: expected an object"),
        (b'{"data": 3}', "entry 1: expected an object"),
        (b'[{"caption": "rain"}]', "entry 1: names no clip"),
        (b'[{"wav": "abcdefghi_1.wav"}]', "entry 1: no caption for abcdefghi_1.wav"),
        (b'[{"wav": "elsewhere.wav", "caption": "x"}]', "names no clip of .* elsewhere.wav"),
        (b"youtube_id,caption\nabcdefghi_1,rain, then wind\n", "line 2: more fields than the 2"),
        (b"youtube_id,caption,caption\nabcdefghi_1,a,b\n", "line 1: two columns .* 'caption'"),
        (b"", "names no clip of"),
    ],
)
def test_what_is_no_list_is_refused(official, tmp_path, content, said):
    path = tmp_path / "list"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=said):
        read_list(path, official)
    with pytest.raises(ValueError, match="there is no such list"):
        read_list(tmp_path / "none", official)

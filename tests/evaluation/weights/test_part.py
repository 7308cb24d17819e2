import json

import pytest
import requests

from evaluation.weights.http import _is_whole, _rest_wanted
from evaluation.weights.part import Facts, facts_of, goes_on, read_facts, size, write_facts

URL = "http://localhost/net.pth"
KNOWN = Facts(url=URL, validator='"a"', total=3000)


def answer(status=206, **headers):
    made = requests.Response()
    made.status_code = status
    made.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    return made


def test_the_whole_is_as_long_as_the_range_says_not_as_the_answer():
    short = answer(Content_Range="bytes 0-99/3000", Content_Length="100", ETag='"a"')
    assert facts_of(short, URL) == KNOWN
    assert facts_of(answer(200, Content_Length="3000", ETag='"a"'), URL) == KNOWN


def test_a_body_packed_on_its_way_has_no_known_length():
    packed = answer(200, Content_Length="100", Content_Encoding="gzip", ETag='"a"')
    assert facts_of(packed, URL) == Facts(url=URL)
    assert not goes_on(answer(Content_Range="bytes 10-99/3000", Content_Encoding="br"), 10, KNOWN)


@pytest.mark.parametrize(
    ("headers", "on"),
    [
        ({"Content_Range": "bytes 10-2999/3000"}, True),
        ({"Content_Range": "bytes 10-2999/*", "ETag": '"a"'}, True),
        ({"Content_Range": "bytes 15-2999/3000"}, False),  # another place
        ({"Content_Range": "bytes 10-2999/4000"}, False),  # another file
        ({"Content_Range": "bytes 10-2999/3000", "ETag": '"b"'}, False),
        ({}, False),
    ],
)
def test_only_the_rest_of_the_same_file_is_gone_on_with(headers, on):
    assert goes_on(answer(**headers), 10, KNOWN) == on


def test_a_part_longer_than_the_file_is_not_taken_for_it(tmp_path):
    part = tmp_path / "net.pth.part"
    part.write_bytes(b"x" * 3001)
    write_facts(part, KNOWN)
    assert _rest_wanted(size(part), KNOWN, URL) == {}
    assert not _is_whole(part, KNOWN, so_far=True)
    assert list(tmp_path.iterdir()) == []
    part.write_bytes(b"x" * 3000)
    assert _is_whole(part, KNOWN)


@pytest.mark.parametrize("text", ["", "[]", "5", '{"url": 5}', '{"total": "3"}', '{"odd": 1}'])
def test_odd_notes_are_none(tmp_path, text):
    part = tmp_path / "net.pth.part"
    (tmp_path / "net.pth.part.json").write_text(text)
    assert read_facts(part) == Facts()
    write_facts(part, KNOWN)
    assert read_facts(part) == KNOWN
    assert json.loads((tmp_path / "net.pth.part.json").read_text())["total"] == 3000

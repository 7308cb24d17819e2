"""Against a real server on this machine, which can do what servers do: ranges, cuts, pages."""

import errno
import gzip
import hashlib
import os
import shutil
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest

from evaluation.weights import http as fetch_http
from evaluation.weights.fetch import FetchError, Source, copy, fetch
from evaluation.weights.files import WeightFile

CONTENT = np.random.default_rng(0).bytes(300_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Server:
    """What it has, how it behaves, and what it was asked."""

    def __init__(self):
        self.content = CONTENT
        self.ranges = True
        self.etag = '"one"'
        self.cuts = []  # bytes after which the next connections break off
        self.statuses = []  # answers of the next requests; then 200
        self.kind = "application/octet-stream"
        self.asked = []
        self.span = None  # bytes of a range that it sends at a time
        self.shift = 0  # bytes by which its ranges are other ones

    def answer(self, handler):
        self.asked.append((unquote(handler.path), handler.headers.get("Range")))
        if self.statuses:
            handler.send_response(self.statuses.pop(0))
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        start = self._start(handler)
        if start is not None and start >= len(self.content):
            handler.send_response(416)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        if start is not None:
            start += self.shift
        stop = len(self.content) if start is None or not self.span else start + self.span
        body = self.content[start or 0 : stop]
        handler.send_response(200 if start is None else 206)
        handler.send_header("Content-Type", self.kind)
        handler.send_header("Content-Length", str(len(body)))
        handler.send_header("ETag", self.etag)
        if start is not None:
            last = start + len(body) - 1
            handler.send_header("Content-Range", f"bytes {start}-{last}/{len(self.content)}")
        handler.end_headers()
        handler.wfile.write(body[: self.cuts.pop(0)] if self.cuts else body)
        handler.close_connection = True

    def _start(self, handler):
        wanted = handler.headers.get("Range")
        if not self.ranges or not wanted or handler.headers.get("If-Range") != self.etag:
            return None
        return int(wanted.removeprefix("bytes=").rstrip("-"))


@pytest.fixture(scope="module")
def listening():
    holder = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            holder[0].answer(self)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield holder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def server(listening):
    listening[0][:] = [Server()]
    listening[0][0].base = listening[1]
    return listening[0][0]


def entry(**facts):
    return WeightFile(**{"file": "net.pt", "network": "vggish", "what": "x", "url": None} | facts)


def get(server, folder, *, path="/net.pt", **facts):
    return fetch(entry(**facts), folder, Source(url=server.base + path, wait=0.01))


def left(folder):
    """Return the names of all files but those of noted digests."""
    return sorted(p.name for p in folder.rglob("*") if p.is_file() and p.suffix != ".sha256")


@pytest.mark.parametrize(
    ("facts", "checked"),
    [({}, False), ({"sha256": DIGEST}, True), ({"sha256_prefix": DIGEST[:8]}, True)],
    ids=["none published", "sha256", "digits of it"],
)
def test_a_file_is_fetched_once(server, tmp_path, facts, checked):
    found = get(server, tmp_path / "new", **facts)
    assert found.path.read_bytes() == CONTENT
    assert (found.sha256, found.checked, found.new) == (DIGEST, checked, True)
    again = get(server, tmp_path / "new", **facts)
    assert (again.sha256, again.new) == (DIGEST, False)
    assert len(server.asked) == 1
    assert left(tmp_path) == ["net.pt"]
    assert found.size == again.size == len(CONTENT)


def test_the_digest_is_noted_beside_the_file_and_another_content_told_from_it(server, tmp_path):
    found = get(server, tmp_path)
    note = tmp_path / "net.pt.sha256"
    assert note.read_text() == f"{DIGEST}  net.pt\n"  # as sha256sum -c reads it
    found.path.write_bytes(CONTENT[:-1] + b"x")
    with pytest.raises(FetchError, match=f"and was {DIGEST} when it was fetched. Delete it"):
        get(server, tmp_path)
    assert note.read_text() == f"{DIGEST}  net.pt\n"
    note.write_text("no digest\n")  # nor a note: what is there is noted
    again = get(server, tmp_path)
    assert (again.new, note.read_text()) == (False, f"{again.sha256}  net.pt\n")


def test_the_size_is_said_when_the_server_has_named_it(server, tmp_path):
    said = []
    fetch(entry(), tmp_path, Source(url=f"{server.base}/net.pt", wait=0.01, say=said.append))
    assert said == ["net.pt: 300 kB to fetch"]


def test_a_packed_file_is_unpacked(server, tmp_path):
    server.content = gzip.compress(CONTENT)
    found = get(server, tmp_path, packed=True, sha256=DIGEST, size=len(CONTENT))
    assert found.path.read_bytes() == CONTENT
    assert (found.sha256, found.checked) == (DIGEST, True)
    assert left(tmp_path) == ["net.pt"]


def test_a_mirror_may_have_it_unpacked(server, tmp_path):
    assert get(server, tmp_path, packed=True, sha256=DIGEST).path.read_bytes() == CONTENT


@pytest.mark.parametrize("damage", [lambda b: b[:-9], lambda b: b[:-5] + b"12345"])
def test_what_cannot_be_unpacked_is_thrown_away(server, tmp_path, damage):
    server.content = damage(gzip.compress(CONTENT))
    with pytest.raises(FetchError, match=r"net.pt: what came cannot be unpacked"):
        get(server, tmp_path, packed=True)
    assert left(tmp_path) == []


@pytest.mark.parametrize(("name", "pack"), [("net.pt", bytes), ("net-v1.pt.gz", gzip.compress)])
def test_a_packed_file_is_copied_from_a_folder(tmp_path, name, pack):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / name).write_bytes(pack(CONTENT))
    packed = entry(packed=True, url="https://example.org/net-v1.pt.gz")
    found = copy(packed, tmp_path / "new", tmp_path / "kept")
    assert found.path.read_bytes() == CONTENT
    assert left(tmp_path / "new") == ["net.pt"]


def test_a_cut_connection_is_resumed(server, tmp_path):
    server.cuts = [100_000, 50_000]
    assert get(server, tmp_path).sha256 == DIGEST
    starts = [int(wanted[6:-1]) for _, wanted in server.asked[1:]]
    assert 40_000 <= starts[0] <= 100_000  # but for the block that was on its way
    assert starts[0] <= starts[1] <= starts[0] + 50_000


def test_a_server_may_send_less_than_the_rest(server, tmp_path):
    """RFC 9110, 15.3.7: the file is whole when it is as long as the range says the whole is."""
    server.cuts, server.span = [100_000], 80_000
    assert get(server, tmp_path).sha256 == DIGEST
    assert len(server.asked) >= 4


@pytest.mark.parametrize(
    "facts",
    [
        {"ranges": False, "cuts": [280_000, 140_000, 210_000] * 9},  # ever other lengths
        {"ranges": False, "cuts": [70_000 * step for step in range(1, 5)] * 9},
        {"shift": 5, "cuts": [100_000] * 30},  # other ranges
        {"span": 100, "cuts": [100_000]},  # a few bytes at a time
    ],
)
def test_what_never_comes_whole_is_given_up(server, tmp_path, facts):
    for name, value in facts.items():
        setattr(server, name, value)
    with pytest.raises(FetchError, match=r"from the start and never came whole|are kept"):
        get(server, tmp_path)
    assert len(server.asked) <= 12
    assert "net.pt" not in left(tmp_path)


@pytest.mark.parametrize(
    "note", ["[]", '{"url": 1}', '{"url": "URL", "validator": 5, "total": "a"}', "nonsense"]
)
def test_odd_notes_of_a_part_are_none(server, tmp_path, note):
    server.cuts = [120_000] + 4 * [0]
    with pytest.raises(FetchError):
        get(server, tmp_path)
    url = f"{server.base}/net.pt"
    (tmp_path / "net.pt.part.json").write_text(note.replace("URL", url))
    server.asked.clear()
    assert get(server, tmp_path).sha256 == DIGEST
    assert server.asked == [("/net.pt", None)]


def test_without_ranges_it_begins_again(server, tmp_path):
    server.ranges = False
    server.cuts = [100_000]
    assert get(server, tmp_path).sha256 == DIGEST


def test_a_file_that_changed_meanwhile_is_not_mixed(server, tmp_path):
    server.cuts = [100_000] + 4 * [0]
    with pytest.raises(FetchError, match=r"kept. Run the same command again"):
        get(server, tmp_path)
    server.content = np.random.default_rng(1).bytes(200_000)
    server.etag = '"two"'
    assert get(server, tmp_path).path.read_bytes() == server.content


def test_what_a_killed_process_left_is_gone_on_with(server, tmp_path):
    server.cuts = [120_000] + 4 * [0]
    with pytest.raises(FetchError, match=r"0\.1 MB of it are kept"):
        get(server, tmp_path)
    assert left(tmp_path) == ["net.pt.part", "net.pt.part.json"]
    have = (tmp_path / "net.pt.part").stat().st_size
    assert 60_000 <= have <= 120_000
    server.asked.clear()
    assert get(server, tmp_path).sha256 == DIGEST
    assert server.asked == [("/net.pt", f"bytes={have}-")]
    assert left(tmp_path) == ["net.pt"]


def test_a_part_from_elsewhere_is_not_gone_on_with(server, tmp_path):
    server.cuts = [120_000] + 4 * [0]
    with pytest.raises(FetchError):
        get(server, tmp_path)
    server.asked.clear()
    assert get(server, tmp_path, path="/other/net.pt").sha256 == DIGEST
    assert server.asked == [("/other/net.pt", None)]


def test_a_whole_part_is_taken_as_it_is(server, tmp_path):
    server.cuts = [120_000] + 4 * [0]
    with pytest.raises(FetchError):
        get(server, tmp_path)
    (tmp_path / "net.pt.part").write_bytes(CONTENT)
    assert get(server, tmp_path).sha256 == DIGEST


def test_a_server_that_is_busy_is_asked_again(server, tmp_path):
    server.statuses = [503, 429]
    assert get(server, tmp_path).sha256 == DIGEST
    assert len(server.asked) == 3


@pytest.mark.parametrize(
    ("statuses", "text"),
    [([404], "404, it is not there"), ([403], "403, it is refused"), (5 * [500], "500")],
)
def test_refusals_name_the_ways_out(server, tmp_path, statuses, text):
    server.statuses = statuses
    with pytest.raises(FetchError, match=f"{text}.*--mirror.*--from"):
        get(server, tmp_path)
    assert left(tmp_path) == []


def test_a_web_page_is_no_file(server, tmp_path):
    server.kind = "text/html; charset=utf-8"
    with pytest.raises(FetchError, match="answered with a web page"):
        get(server, tmp_path)
    server.kind, server.content = "application/octet-stream", b"<!doctype html><title>login</title>"
    with pytest.raises(FetchError, match=r"answered with a web page\. It was thrown away"):
        get(server, tmp_path)
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        ({"sha256": "0" * 64}, f"its sha256 is {DIGEST}, the published one is 0000"),
        ({"sha256_prefix": "00000000"}, r"the published one is 00000000\.\.\."),
        ({"size": 5}, "it has 300000 bytes, the published file 5"),
    ],
)
def test_another_file_is_refused(server, tmp_path, facts, text):
    with pytest.raises(FetchError, match=f"{text}.*thrown away"):
        get(server, tmp_path, **facts)
    assert left(tmp_path) == []
    (tmp_path / "net.pt").write_bytes(CONTENT)
    with pytest.raises(FetchError, match="Delete it and fetch it again"):
        get(server, tmp_path, **facts)
    assert left(tmp_path) == ["net.pt"]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b'{"error": "login"}', "a JSON text came instead"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "a pointer of Git LFS came"),
        (b"\xef\xbb\xbf<!DOCTYPE html>", "answered with a web page"),
    ],
)
def test_what_servers_give_in_the_place_of_weights_is_refused(server, tmp_path, content, text):
    server.content = content
    with pytest.raises(FetchError, match=f"{text}.*thrown away"):
        get(server, tmp_path)
    assert left(tmp_path) == []
    if text.startswith("a JSON"):
        assert get(server, tmp_path, file="vocab.json").path.read_bytes() == content


def test_an_empty_answer_is_no_file(server, tmp_path):
    server.content = b""
    with pytest.raises(FetchError, match="it is empty"):
        get(server, tmp_path)


def test_a_dead_address_is_asked_twice_and_one_that_answered_five_times(monkeypatch):
    waits = []
    monkeypatch.setattr("urllib3.util.retry.time.sleep", waits.append)
    for connects, expected in ((fetch_http.FIRST_ATTEMPTS, 1), (fetch_http.ATTEMPTS, 4)):
        again = fetch_http.session(1.0, connects=connects).get_adapter("http://").max_retries
        assert (again.connect, again.total) == (expected, 4)
    dead = Source(url="http://127.0.0.1:9/net.pt", wait=1.0)
    with pytest.raises(FetchError, match="refused"):
        fetch_http.download(Path("nowhere.part"), dead, name="net.pt")
    assert sum(waits) <= 2.0


def test_a_full_disk_is_said_before_and_during(server, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=1000))
        with pytest.raises(FetchError, match=r"net\.pt needs 0 MB more, the disk"):
            get(server, tmp_path)

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(fetch_http.os, "fsync", full)
        with pytest.raises(FetchError, match=r"No space left on device.*make room"):
            get(server, tmp_path)
    assert "net.pt" not in left(tmp_path)
    assert get(server, tmp_path).sha256 == DIGEST


def test_two_at_once_fetch_once(server, tmp_path):
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(get(server, tmp_path))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(one.new for one in found) == {True: 1, False: 1}
    assert len(server.asked) == 1


def test_an_offline_folder_stands_for_the_network(tmp_path):
    there = tmp_path / "stick"
    there.mkdir()
    (there / "vocab.json").write_bytes(CONTENT)
    nested = entry(file="roberta-base/vocab.json")
    found = copy(nested, tmp_path / "weights", there)
    assert found.path == tmp_path / "weights" / "roberta-base" / "vocab.json"
    assert found.path.read_bytes() == CONTENT
    with pytest.raises(FetchError, match=r"stick has no net.pt"):
        copy(entry(), tmp_path / "weights", there)
    (there / "net.pt").write_bytes(b"other")
    with pytest.raises(FetchError, match="the published one is"):
        copy(entry(sha256=DIGEST), tmp_path / "weights", there)
    assert left(tmp_path / "weights") == ["vocab.json"]

"""The command, as a process: a mirror on this machine instead of the publishers."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from argparse import ArgumentParser
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from evaluation.weights.command import add_arguments, run
from evaluation.weights.files import FILES

SCRIPT = Path(__file__).parents[3] / "scripts" / "fetch_weights.py"
NAME = "vggish_model.ckpt"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


class Slow(BaseHTTPRequestHandler):
    """A large file, of which the second half never comes."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "400000")
        self.send_header("ETag", '"one"')
        self.end_headers()
        self.wfile.write(b"x" * 200_000)
        self.wfile.flush()
        self.server.released.wait(30)

    def log_message(self, *_):
        pass


def serving(handler):
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.released = threading.Event()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}).start()
    return server, f"http://127.0.0.1:{server.server_port}"


def stop(server):
    server.released.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def mirror(tmp_path):
    folder = tmp_path / "mirror"
    for file in FILES:
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.encode())
    server, address = serving(partial(Quiet, directory=folder))
    yield address
    stop(server)


def call(*words):
    parser = ArgumentParser()
    add_arguments(parser)
    said = []
    return run(parser.parse_args([str(word) for word in words]), said.append), said


def test_without_a_file_it_lists_what_is_known_and_what_is_not(tmp_path):
    (tmp_path / NAME).touch()
    text, _ = call("--folder", tmp_path)
    for entry in FILES.values():
        assert entry.file in text
        assert (entry.url or "no known address") in text
    table = text.partition("\n\n")[0].splitlines()
    cells = {line.split()[0]: line.split()[1:6] for line in table}
    assert cells["vggish-10086976.pth"] == ["vggish", "-", "10086976", "-", "no"]
    assert cells["openl3_audio_linear_env.h5"][1:3] == ["-", "-"]
    assert f"here: in {tmp_path}." in text
    assert text.count("not known here") == 1  # once for all of them


def test_what_was_fetched_is_in_the_list_with_its_size_and_digest(mirror, tmp_path):
    _, said = call(NAME, "--mirror", mirror, "--folder", tmp_path)
    digest = hashlib.sha256(NAME.encode()).hexdigest()
    assert said == [
        f"{NAME}: {len(NAME)} bytes to fetch",
        f"{NAME}: fetched, {len(NAME)} bytes, sha256 {digest} (none is known here: compare it with "
        "a colleague's)",
    ]
    line = next(line for line in call("--folder", tmp_path)[0].splitlines() if NAME in line)
    assert line.split()[1:8] == [
        "vggish",
        str(len(NAME)),
        "bytes",
        digest[:12],
        "(noted)",
        "-",
        "yes",
    ]


def test_a_cause_of_several_failures_is_said_once(tmp_path):
    parser = ArgumentParser()
    add_arguments(parser)
    said = []
    words = ["--protocol", "audiocraft", "--from", str(tmp_path), "--folder", str(tmp_path / "w")]
    with pytest.raises(OSError, match="5 of 5 files are not in place"):
        run(parser.parse_args(words), said.append)
    assert (
        said[0]
        == f"{tmp_path} has no {said[0].split()[3].rstrip(':')}: copy it there, or leave out --from"
    )
    assert len(said) == 2
    assert said[1].count(", ") == 3
    assert said[1].endswith(": the same")


def test_addresses_that_cannot_be_reached_have_one_cause():
    from evaluation.weights.http import FetchError, Source, download

    causes = set()
    for port in (9, 19):
        with pytest.raises(FetchError) as caught:
            download(
                Path("nowhere.part"), Source(url=f"http://127.0.0.1:{port}/x", wait=0), name="x"
            )
        causes.add(caught.value.cause)
    (cause,) = causes
    assert cause.startswith(
        "Failed to establish a new connection: [Errno 111] Connection refused. Is"
    )


def test_a_card_brings_its_files_and_what_they_need(mirror, tmp_path):
    weights = tmp_path / "weights"
    wanted = ["vggish-10086976.pth", "passt-s-f128-p16-s10-ap.476-swa.pt"]
    with pytest.raises(OSError, match="1 of 5 files are not in place"):
        call("--protocol", "audiocraft", "--mirror", mirror, "--folder", weights)
    names = sorted(
        p.relative_to(weights).as_posix()
        for p in weights.rglob("*")
        if p.is_file() and p.suffix not in (".lock", ".sha256")
    )
    assert names == sorted(
        [
            wanted[1],  # the first has published digits, which the mirror's does not have
            "music_audioset_epoch_15_esc_90.14.pt",
            "roberta-base/merges.txt",
            "roberta-base/vocab.json",
        ]
    )


def test_a_card_without_weights_needs_none(tmp_path):
    text, said = call("--protocol", "demo", "--folder", tmp_path)
    assert (text, said) == ("", ["demo: no weights are needed that have an address here"])


def test_mistakes_are_said(tmp_path):
    for words, text in (
        (["vggish.pt"], "no file of weights is called 'vggish.pt'"),
        (["--protocol", "audiokraft"], "audiokraft"),
        ([NAME, "--mirror", "ftp://x"], "begins with http"),
        ([NAME, "--from", tmp_path / "nowhere"], "there is no folder"),
    ):
        with pytest.raises(ValueError, match=text):
            call(*words, "--folder", tmp_path)


def test_a_file_without_an_address_is_taken_from_a_folder(tmp_path, monkeypatch):
    monkeypatch.setitem(FILES, NAME, replace(FILES[NAME], url=None))
    with pytest.raises(ValueError, match=r"no address is known for .*: use --from"):
        call(NAME, "--folder", tmp_path)
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / NAME).write_bytes(b"x")
    text, _ = call(NAME, "--folder", tmp_path, "--from", tmp_path / "kept")
    assert text == str(tmp_path / NAME)


def script(*words, **how):
    command = [sys.executable, SCRIPT, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **how)


def test_results_are_on_stdout_and_exit_codes_tell_whose_fault_it_is(mirror, tmp_path):
    done = script(NAME, "--mirror", mirror, "--folder", tmp_path)
    assert (done.returncode, done.stdout) == (0, f"{tmp_path / NAME}\n")
    assert f"\n{NAME}: fetched, {len(NAME)} bytes, sha256 " in done.stderr
    assert "none is known here" in done.stderr
    wrong = script("vggish.ckpt", "--folder", tmp_path)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.startswith("error: no file of weights")
    lost = script("630k-best.pt", "--mirror", f"{mirror}/nowhere", "--folder", tmp_path)
    assert (lost.returncode, lost.stdout) == (1, "")
    assert "404, it is not there" in lost.stderr
    assert "3 of 3 files are not in place" in lost.stderr.splitlines()[-1]
    single = script("vggish-10086976.pth", "--mirror", f"{mirror}/nowhere", "--folder", tmp_path)
    (line,) = single.stderr.splitlines()
    assert line.startswith("error: vggish-10086976.pth from ")
    assert not list(tmp_path.rglob("*.lock"))


def test_of_several_files_each_failure_has_its_line_and_the_last_counts_them(tmp_path):
    (tmp_path / "stick").mkdir()
    (tmp_path / "stick" / NAME).write_bytes(b"<html>")
    said = []
    parser = ArgumentParser()
    add_arguments(parser)
    words = [
        NAME,
        "vggish-10086976.pth",
        "--from",
        tmp_path / "stick",
        "--folder",
        tmp_path / "there",
    ]
    with pytest.raises(OSError, match="2 of 2 files are not in place"):
        run(parser.parse_args(list(map(str, words))), said.append)
    assert len(said) == 2
    assert not any(line.startswith("error") for line in said)
    assert list((tmp_path / "there").rglob("*")) == []


def test_a_killed_fetch_leaves_what_it_has_and_no_file(tmp_path):
    server, address = serving(Slow)
    command = [sys.executable, SCRIPT, NAME, "--mirror", address, "--folder", tmp_path]
    process = subprocess.Popen(list(map(str, command)), stderr=subprocess.DEVNULL)
    part = tmp_path / f"{NAME}.part"
    deadline = time.monotonic() + 60
    while not (part.is_file() and part.stat().st_size > 100_000) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    stop(server)
    assert part.stat().st_size > 100_000
    assert not (tmp_path / NAME).exists()

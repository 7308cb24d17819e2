import subprocess
import sys

import pytest

from audiogen.files import file_hash, remove_unfinished, replacing


def names(folder):
    return [path.name for path in folder.iterdir()]


def test_appears_whole(tmp_path):
    path = tmp_path / "deep" / "name.txt"
    with replacing(path) as temporary:
        temporary.write_text("half")
        assert not path.exists()
        assert temporary.suffix == ".txt"
    assert path.read_text() == "half"
    assert names(path.parent) == ["name.txt"]


def test_an_error_leaves_the_old_file_alone(tmp_path):
    path = tmp_path / "name.txt"
    path.write_text("old")

    def fail():
        with replacing(path) as temporary:
            temporary.write_text("new")
            raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        fail()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["name.txt"]


def test_the_longest_of_names(tmp_path):
    path = tmp_path / ("n" * 251 + ".txt")
    with replacing(path) as temporary:
        temporary.write_text("x")
    assert path.read_text() == "x"


def test_removes_what_a_killed_process_left_but_not_what_a_live_one_writes(tmp_path):
    code = (
        "import os, signal, sys; from audiogen.files import replacing\n"
        "with replacing(sys.argv[1]) as temporary:\n"
        "    temporary.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "dead.txt")])
    assert len(names(tmp_path)) == 1
    with replacing(tmp_path / "alive.txt") as temporary:
        temporary.write_text("x")
        remove_unfinished(tmp_path)
        assert names(tmp_path) == [temporary.name]
    assert names(tmp_path) == ["alive.txt"]


def test_a_file_is_hashed_as_sha256sum_does(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")  # the example of FIPS 180-2
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert file_hash(tmp_path / "a") == expected

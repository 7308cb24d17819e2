from argparse import ArgumentParser

import pytest

from recipes.page.command import page_command


def render(args, date):
    return f"{args.run.name} {date}"


@pytest.mark.parametrize("out", [None, "page.html"])
def test_writes_the_page_and_says_where(tmp_path, capsys, out):
    place = tmp_path / (out or "report.html")
    words = ["--run", str(tmp_path), *(["--out", str(place)] if out else [])]
    assert page_command(ArgumentParser(), words, render, maker="run.sh") == 0
    assert capsys.readouterr().out == f"{place}\n"
    assert place.read_text(encoding="utf-8").startswith(f"{tmp_path.name} 20")


def test_no_run_and_no_place_are_one_line(tmp_path, capsys):
    words = ["--run", str(tmp_path / "none")]
    assert page_command(ArgumentParser(), words, render, maker="run.sh") == 2
    assert capsys.readouterr().err == f"error: {words[1]} is not a folder; run.sh makes a run\n"
    (tmp_path / "file").touch()
    words = ["--run", str(tmp_path), "--out", str(tmp_path / "file" / "page.html")]
    assert page_command(ArgumentParser(), words, render, maker="run.sh") == 2
    assert capsys.readouterr().err.count("\n") == 1

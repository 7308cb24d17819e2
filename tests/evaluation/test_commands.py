import argparse
import json
import sys

import pytest

from evaluation.comparison import command as compare_command
from evaluation.explanation import command as explain_command
from tests.evaluation.comparison.test_compare import make, moved, write


def run(command, *words):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return command.run(parser.parse_args([str(word) for word in words]))


def test_compare_writes_what_is_asked_for(tmp_path):
    pytest.importorskip("jinja2")
    a, b = write(tmp_path, moved(0.0), moved(2.0))
    out, err = run(compare_command, a, b, "--no-cache")
    assert json.loads(out)["scores"]["level_difference_db"]["differences"][0]["resolved"]
    assert "is better" in err
    files = {kind: tmp_path / f"c.{kind}" for kind in ("json", "markdown", "latex", "html")}
    options = [word for kind, path in files.items() for word in (f"--{kind}", path)]
    assert run(compare_command, a, b, "--no-cache", *options)[0] == ""
    assert json.loads(files["json"].read_text()) == json.loads(out)
    assert files["markdown"].read_text().startswith("| metric | a | b | better |")
    assert r"\toprule" in files["latex"].read_text()
    assert "<!doctype html>" in files["html"].read_text()


def test_compare_refuses_before_it_reads(tmp_path):
    a, b = write(tmp_path, make(), make(protocol__mono="first"))
    with pytest.raises(ValueError, match=r"cannot write .*nowhere"):
        run(compare_command, a, b, "--json", tmp_path / "nowhere" / "c.json")
    with pytest.raises(ValueError, match=r"protocol\.mono"):
        run(compare_command, a, b)
    assert "NOT COMPARABLE" in run(compare_command, a, b, "--anyway", "--no-cache")[1]


def test_explain_writes_what_is_asked_for(folders, tmp_path):
    pytest.importorskip("jinja2")
    words = [*folders, "--protocol", "demo", "--no-cache", "--metrics", "level_difference_db"]
    words += ["--clips", 8, "--switches", "gain"]
    out, err = run(explain_command, *words)
    assert json.loads(out)["pairs"] == 8
    assert "gain" in err
    files = [tmp_path / "e.json", tmp_path / "e.html"]
    assert run(explain_command, *words, "--json", files[0], "--html", files[1])[0] == ""
    assert json.loads(files[0].read_text())["pairs"] == 8
    assert "<svg" in files[1].read_text()


def test_json_is_for_programs_as_where_sounds_are_scored(tmp_path, monkeypatch, folders):
    a, b = write(tmp_path, moved(0.0), moved(2.0))
    explain = [*folders, "--protocol", "demo", "--no-cache", "--metrics", "level_difference_db"]
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert run(compare_command, a, b, "--no-cache")[0] == ""
    assert run(explain_command, *explain, "--switches")[0] == ""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--switches", "resample"], "unknown switch 'resample'. Did you mean 'resampler'"),
        (["--protocol", "dema"], "no protocol 'dema'"),
        (["--toward", "dema"], "no protocol 'dema'"),
        (["--clips", "1"], "--clips must be 2 or more, got 1"),
        (["--metrics", "fad"], "unknown metric 'fad'"),
        (["--html", "/nowhere/x.html"], "cannot write /nowhere/x.html"),
    ],
)
def test_explain_refuses(folders, words, message):
    arguments = ["--protocol", "demo", *words]
    with pytest.raises(ValueError, match=message):
        run(explain_command, *folders, *arguments)

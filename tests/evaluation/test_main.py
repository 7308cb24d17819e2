"""The command line: `python -m evaluation`. Slow imports happen only in the tests that score."""

import json
import subprocess
import sys

import pytest

from evaluation.__main__ import main


def run(*args):
    command = [sys.executable, "-m", "evaluation", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def assert_one_line_error(result, *words):
    assert result.returncode == 2, result.stderr
    assert result.stdout == ""
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("error: ")
    for word in words:
        assert word in lines[0]


def test_missing_files_by_count_and_name(folders):
    (folders[1] / "clip03.wav").unlink()
    assert_one_line_error(run(*folders), "1 of 12 reference files", "clip03")


def test_html_saved_as_wav_by_name(folders):
    (folders[1] / "clip03.wav").write_text("<!DOCTYPE html><html>404</html>")
    assert_one_line_error(run(*folders), "clip03.wav", "not a readable audio file", "<!DOCTYPE")


def test_empty_folder(folders, tmp_path):
    (tmp_path / "empty").mkdir()
    assert_one_line_error(run(folders[0], tmp_path / "empty"), "empty has no wav")


def test_same_folder_twice(folders):
    assert_one_line_error(run(folders[0], folders[0]), "the same folder")


def test_wrong_arguments_are_one_line_too():
    assert_one_line_error(run("only-one"), "generated", "--help")


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (["--protocol", "audiokraft"], ["no protocol 'audiokraft'", "audiocraft, codec, demo"]),
        (["--metrics", "frechet_logmel"], ["Did you mean frechet_logmel_standin"]),
        (["--metrics", "kld_passt"], ["kld_passt cannot be computed", "no PaSST embedder"]),
        (["--captions", "nowhere.csv"], ["nowhere.csv does not exist"]),
        (["--json", "no/such/folder/r.json"], ["cannot write no/such/folder/r.json"]),
        (["--json", "/"], ["cannot write /: it is a folder"]),
    ],
)
def test_options_that_cannot_work(folders, capsys, extra, words):
    assert main([*map(str, folders), *extra]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert all(word in captured.err for word in words)


def test_help_loads_nothing_heavy():
    code = (
        "import sys; sys.argv = ['evaluation', '--help']\n"
        "import runpy\n"
        "try: runpy.run_module('evaluation', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "print(*sys.modules)"
    )
    loaded = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    assert not {"torch", "numpy", "scipy", "torchmetrics", "audiogen"} & set(loaded)


def test_scoring_without_networks_needs_no_torchmetrics():
    """It takes longer to load than the scoring takes."""
    code = "import evaluation.scorer, sys; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    assert "torch" in loaded
    assert not {"torchmetrics", "transformers", "jinja2"} & set(loaded)


def test_a_whole_run_in_a_process(folders, tmp_path):
    """JSON to the file, people on stderr, nothing on stdout; files whole."""
    result = run(
        *folders, "--protocol", "audiocraft", "--json", tmp_path / "r.json",
        "--html", tmp_path / "r.html",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert result.stdout == ""
    in_file = json.loads((tmp_path / "r.json").read_text())
    assert len(in_file.pop("items")) == 12
    assert in_file["provenance"]["date"]
    assert "N = 12 pairs" in result.stderr
    assert "frechet_logmel_standin" in in_file["scores"]
    assert_never_called_fad(result.stderr)
    assert "<html" in (tmp_path / "r.html").read_text()


def test_without_a_file_the_report_is_on_stdout(folders, capsys):
    arguments = [*map(str, folders), "--protocol", "demo"]
    assert main([*arguments, "--metrics", "level_difference_db"]) == 0
    captured = capsys.readouterr()
    on_stdout = json.loads(captured.out)
    assert "items" not in on_stdout
    assert list(on_stdout["scores"]) == ["level_difference_db"]
    assert "N = 12 pairs" in captured.err
    assert captured.err.count("\n") < 10


def assert_never_called_fad(text):
    """FAD is named only to say that it was not computed, and that the stand-in is not it."""
    named = [line for line in text.splitlines() if "FAD" in line.replace("not FAD", "")]
    assert named, "FAD must be listed as not computed"
    assert all(line.startswith("not computed: FAD (VGGish)") for line in named)
    standin = [line for line in text.splitlines() if "log-mel" in line]
    assert all("stand-in, not FAD" in line for line in standin)


def test_compare_two_runs_and_refuse_two_protocols(folders, tmp_path, capsys):
    a, b, c = (str(tmp_path / name) for name in ("a.json", "b.json", "c.json"))
    reference, generated = map(str, folders)
    for path, protocol in ((a, "demo"), (b, "demo"), (c, "audiocraft")):
        assert main([reference, generated, "--protocol", protocol, "--json", path]) == 0
    capsys.readouterr()
    assert main(["compare", a, b]) == 0
    out = json.loads(capsys.readouterr().out)
    assert out["scores"]["level_difference_db"]["difference"] == 0
    assert main(["compare", a, c]) == 2
    assert "not comparable: protocol.name is 'demo'" in capsys.readouterr().err


def test_a_report_that_is_not_there(capsys):
    assert main(["compare", "a.json", "b.json"]) == 2
    assert capsys.readouterr().err == "error: there is no report a.json; --json writes one\n"


def test_a_reader_that_stops_early_is_no_error_to_speak_of(folders):
    command = [sys.executable, "-m", "evaluation", *map(str, folders), "--protocol", "demo"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        said = process.stderr.read().decode()
    assert process.returncode == 1
    assert "Error" not in said
    assert "Exception ignored" not in said


def test_stopping_and_failing_to_write_are_not_the_callers_mistake(folders, monkeypatch, capsys):
    import evaluation.suite

    def fail(*args, **kwargs):
        raise OSError("No space left on device")

    monkeypatch.setattr(evaluation.suite, "evaluate", fail)
    assert main([*map(str, folders)]) == 1
    assert "No space left" in capsys.readouterr().err

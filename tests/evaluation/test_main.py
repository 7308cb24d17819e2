"""The command line: `python -m evaluation`. Slow imports happen only in the tests that score."""

import json
import subprocess
import sys

import pytest

from evaluation.__main__ import main
from evaluation.catalog import METRICS
from evaluation.protocols.card import load_protocol, protocol_names


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
    assert_one_line_error(run(folders[0], folders[0]), "are one folder")


def test_wrong_arguments_are_one_line_too():
    assert_one_line_error(run("only-one"), "generated", "--help")


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (["--protocol", "audiokraft"], ["no protocol 'audiokraft'", "Did you mean audiocraft"]),
        (["--protocol", "nowhere.yaml"], ["no card nowhere.yaml: there is no such file"]),
        (["--protocol", __file__], ["test_main.py is no card: the file of one ends in .yaml"]),
        (["--protocol", "here/demo"], ["here/demo is no card: the file of one ends in .yaml"]),
        (["--metrics", "frechet_logmel"], ["Did you mean frechet_logmel_standin"]),
        (["--metrics", "kld_passt"], ["kld_passt cannot be computed: weights missing"]),
        (["--weights", "here"], ["protocol audiocraft cannot be computed", "evaluation fetch"]),
        (["--device", "cuda:99", "--protocol", "demo"], ["no device 'cuda:99' here"]),
        (["--workers", "-1"], ["workers must be 0 or more, got -1"]),
        (["--batch-size", "0"], ["batch_size must be at least 1, got 0"]),
        (["--round-trips", "nowhere"], ["folder nowhere does not exist"]),
        (["--latex", "no/such/folder/r.tex"], ["cannot write no/such/folder/r.tex"]),
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
    names = "print(*{name.split('.')[0] for name in sys.modules})"
    code = f"import evaluation.scorers.waveforms, sys; {names}"
    loaded = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    assert "torch" in loaded
    assert not {"torchmetrics", "transformers", "jinja2"} & set(loaded)


def test_a_whole_run_in_a_process(folders, tmp_path):
    """JSON to the file, people on stderr, nothing on stdout; files whole."""
    files = {
        name: tmp_path / f"r.{name}" for name in ("json", "html", "markdown", "latex", "items")
    }
    outputs = [word for name, path in files.items() for word in (f"--{name}", path)]
    result = run(*folders, "--protocol", "demo", "--cache", tmp_path / "cache", *outputs)
    assert result.returncode == 0, result.stderr
    assert result.stdout == ""
    in_file = json.loads((tmp_path / "r.json").read_text())
    assert len(in_file.pop("items")) == 12
    assert in_file["provenance"]["date"]
    assert "N = 12 pairs" in result.stderr
    assert "frechet_logmel_standin" in in_file["scores"]
    assert "FAD" not in result.stderr.replace("not FAD", "")
    assert "<html" in (tmp_path / "r.html").read_text()
    assert "N" in files["markdown"].read_text()
    assert r"\toprule" in files["latex"].read_text()
    assert len(files["items"].read_text().splitlines()) == 13
    assert len(list((tmp_path / "cache").glob("*/*.safetensors"))) > 24


def test_without_a_file_the_report_is_on_stdout(folders, capsys):
    arguments = [*map(str, folders), "--protocol", "demo", "--no-cache"]
    assert main([*arguments, "--metrics", "level_difference_db"]) == 0
    captured = capsys.readouterr()
    on_stdout = json.loads(captured.out)
    assert "items" not in on_stdout
    assert list(on_stdout["scores"]) == ["level_difference_db"]
    assert "N = 12 pairs" in captured.err
    assert captured.err.count("\n") < 10


def test_compare_two_runs_and_refuse_two_protocols(folders, tmp_path, capsys):
    a, b, c = (str(tmp_path / name) for name in ("a.json", "b.json", "c.json"))
    reference, generated = map(str, folders)
    keys = ["--no-cache", "--metrics", "level_difference_db"]
    for path, protocol in ((a, "demo"), (b, "demo"), (c, "audiocraft")):
        assert main([reference, generated, "--protocol", protocol, "--json", path, *keys]) == 0
    capsys.readouterr()
    assert main(["compare", a, b]) == 0
    out = json.loads(capsys.readouterr().out)
    assert out["scores"]["level_difference_db"]["differences"][0]["value"] == 0
    assert main(["compare", a, c]) == 2
    assert "not comparable" in capsys.readouterr().err


def test_a_report_that_is_not_there(capsys):
    assert main(["compare", "a.json", "b.json"]) == 2
    assert capsys.readouterr().err == "error: there is no report a.json; --json writes one\n"


def test_a_metric_missing_from_the_card_is_shown_where_it_cannot_be_overlooked(
    folders, tiny, capsys
):
    (tiny.weights / "vggish-10086976.pth").unlink()
    assert main([*map(str, folders), "--no-cache", "--weights", str(tiny.weights)]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert [
        line for line in lines if line.startswith("not computed: FAD (VGGish): weights missing")
    ]


def test_help_says_what_each_card_and_metric_is(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    lines = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines() if line]
    said = {words[0]: words[-1] for words in lines}
    assert {said[name] for name in protocol_names()} == {
        load_protocol(name).description for name in protocol_names()
    }
    assert all(said[key] == info.label for key, info in METRICS.items())


def test_commands_beside_scoring_have_their_own_help(capsys):
    for name in ("cache", "compare", "explain", "fetch"):
        with pytest.raises(SystemExit) as left:
            main([name, "--help"])
        assert left.value.code == 0
        assert f"python -m evaluation {name}" in capsys.readouterr().out


def test_fetch_lists_what_there_is(tmp_path, capsys):
    assert main(["fetch", "--folder", str(tmp_path)]) == 0
    assert "vggish-10086976.pth" in capsys.readouterr().out
    assert main(["fetch", "vggish.onnx", "--folder", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_reader_that_stops_early_is_no_error_to_speak_of(folders):
    command = [sys.executable, "-m", "evaluation", *map(str, folders), "--protocol", "demo"]
    command += ["--no-cache", "--no-sanity"]
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

"""Scores stand in the table of their own protocol, and nowhere else, with what must be said."""

import json
import re

import pytest

from evaluation.protocols.card import load_protocol
from evaluation.reports.report import Report
from evaluation.scorers.score import Score
from recipes.audiocaps_metrics.gates import main as gates
from recipes.audiocaps_metrics.own import read_own
from recipes.audiocaps_metrics.published import read_published
from recipes.audiocaps_metrics.table import main, tables
from recipes.page.inputs import Run

CHOICE = {
    "captions": "random", "seed": 2036, "list": None, "clips": 957, "sounds": 957, "of_clips": 975,
    "test_set": "version 1, all 975 clips", "v1": True, "sha256": "c" * 64,
}  # fmt: skip
MADE = {
    "model": "facebook/audiogen-medium", "model_hash": "d" * 64, "licence": "CC-BY-NC-4.0",
    "given": None, "settings": {"top_k": 250},
}  # fmt: skip
AUDIT = {"usable": ["x"] * 957, "fad_bias": {"clips": 957, "at_this_n": [0.11, 1.1]}}
VALUES = {"fad_vggish": 1.80, "kld_passt": 1.60, "clap_score": 0.305}


def write_report(run, protocol, values, *, n=957, stand_in=False, **changes):
    details = {"stand_in": stand_in}
    scores = {
        key: Score.of(key, value, n=n, interval=(value - 0.1, value + 0.1), details=details)
        for key, value in values.items()
    }
    side = {"folder": "x", "sha256": "e" * 64}
    report = Report(
        scores=scores,
        not_computed={},
        protocol=load_protocol(protocol).to_dict() | changes,
        data={"pairs": n, "reference": side, "generated": side},
        provenance={"instrument": "0"},
    )
    (run / "scores").mkdir(exist_ok=True)
    report.to_json(run / "scores" / f"{protocol}.json")


@pytest.fixture
def scored(tmp_path):
    """A run of the published model on 957 clips."""
    run = tmp_path / "run"
    (run / "audit").mkdir(parents=True)
    for name, content in (
        ("choice.json", CHOICE), ("generated.json", MADE), ("audit/audit.json", AUDIT),
    ):  # fmt: skip
        (run / name).write_text(json.dumps(content))
    (run / "audit" / "audit.txt").write_text("957 of 975 clips can be scored <all>\n")
    row = {"stage": "score", "seconds": 1.0, "bytes": 2e9, "exit": 0}
    (run / "stages.jsonl").write_text(json.dumps(row) + "\n")
    write_report(run, "audiocraft", VALUES)
    return run


def change(run, name, **changes):
    content = json.loads((run / name).read_text())
    (run / name).write_text(json.dumps(content | changes))


def test_a_score_stands_in_the_table_of_its_card_alone(scored, capsys):
    write_report(scored, "audioldm_eval_v2", {"fad_vggish": 2.22, "fd_panns": 17.7})
    assert main(["--run", str(scored)]) == 0
    shown = capsys.readouterr().out
    text = (scored / "table.txt").read_text()
    blocks = {block.partition("\n")[0]: block for block in text.split("\n\n== ")}
    assert "1.8 [1.7, 1.9]" in blocks["AudioCraft, objective evaluation"]
    assert " 1.77 " in blocks["AudioCraft, objective evaluation"]
    assert "2.22" in blocks["card audioldm_eval_v2 v1"]
    assert all("2.22" not in block for name, block in blocks.items() if "v2" not in name)
    assert sum("this run" in block for block in blocks.values()) == 2
    assert "AudioGen medium v2 1.5B" in shown
    assert "FlashAudio, its own runs" not in shown


@pytest.mark.parametrize(
    ("changes", "title"),
    [
        ({"length": "keep"}, "audiocraft v3, changed: length"),
        ({"version": 2}, "audiocraft v2, not the shipped v3"),
    ],
)
def test_a_score_of_another_card_under_the_name_stands_alone(scored, capsys, changes, title):
    write_report(scored, "audiocraft", VALUES, **changes)
    assert main(["--run", str(scored)]) == 0
    for shown in (capsys.readouterr().out, (scored / "table.md").read_text()):
        (block,) = (b for b in re.split("\n\n(?:== |### )", shown) if "this run" in b)
        assert block.startswith(f"card {title}\n")
    assert title in (scored / "report.html").read_text()
    assert gates(["--run", str(scored)]) == 1  # of what is published nothing was measured


def test_every_line_says_how_many_clips(scored):
    for table in tables(read_own(Run(folder=scored)), read_published()):
        assert all(line.n for line in table.lines)
        assert all(len(line.cells) + 2 == len(table.heading) for line in table.lines)


def test_what_departs_from_the_card_is_under_it(scored, capsys):
    change(scored, "choice.json", captions="first")
    write_report(scored, "audioldm_eval_v1", {"kld_panns": 1.3})
    main(["--run", str(scored)])
    text = capsys.readouterr().out
    assert "957 clips, the card's list has 975" in text
    assert "captions are first, the card takes those of a list" in text
    assert "no Frechet distance (PANNs): not asked for" in text
    assert "no Text consistency (CLAP cosine): the card does not have it" in text
    assert "of FAD, chance alone makes about 0.11 to 1.1 at this N" in text
    change(scored, "choice.json", clips=975, sounds=4875, captions="all")
    main(["--run", str(scored)])
    assert "975/957" in capsys.readouterr().out


def test_a_score_stands_beside_chance_and_the_references(scored, capsys):
    bias = {"estimate": 0.21, "low": 0.172, "high": 0.258}
    details = {"bias": bias, "reference_halves": 0.4, "reference_self": None}
    path = scored / "scores" / "audiocraft.json"
    report = json.loads(path.read_text())
    report["scores"]["fad_vggish"]["details"] = details
    report["scores"]["clap_score"]["details"] = {"reference_self": 0.32}
    path.write_text(json.dumps(report))
    main(["--run", str(scored)])
    text = capsys.readouterr().out
    assert (
        "FAD (VGGish): chance alone adds about 0.21 (0.17 to 0.26) at this N; one half of the"
        in text
    )
    assert "Text consistency (CLAP cosine): the references themselves: 0.32" in text


@pytest.mark.parametrize("what", ["networks", "clips"])
def test_a_stand_in_is_marked_in_every_form(scored, capsys, what):
    write_report(scored, "audiocraft", VALUES, stand_in=what == "networks")
    change(scored, "choice.json", v1=what == "networks")
    main(["--run", str(scored)])
    assert capsys.readouterr().out.count("(stand-in)") == 3
    for name in ("table.md", "report.html"):
        content = (scored / name).read_text()
        assert content.count("(stand-in)") == 3
        assert "stand-in: " in content
    assert "&lt;all&gt;" in (scored / "report.html").read_text()


def test_markdown_has_the_columns_of_its_heading(scored):
    change(scored, "generated.json", model="my|model*")
    main(["--run", str(scored)])
    text = (scored / "table.md").read_text()
    assert r"my\|model\*" in text
    for part in text.split("### ")[1:]:
        rows = [line.replace(r"\|", "") for line in part.splitlines() if line.startswith("|")]
        assert len({row.count("|") for row in rows}) == 1


def test_mistakes_are_one_line(scored, tmp_path, capsys):
    for damage, said in [
        (lambda: (scored / "scores/audiocraft.json").write_text("{}"), "not an evaluation report"),
        (lambda: (scored / "scores/audiocraft.json").unlink(), "nothing was scored yet"),
        (lambda: (scored / "generated.json").unlink(), "generated.json is not in the run folder"),
    ]:
        damage()
        for command in (main, gates):
            assert command(["--run", str(scored)]) == 2
            errors = capsys.readouterr().err.strip().splitlines()
            assert len(errors) == 1
            assert said in errors[0]


def test_gates_bind_the_published_model_on_its_clips(scored, capsys):
    assert gates(["--run", str(scored)]) == 0
    assert capsys.readouterr().out.count("holds") == 5
    write_report(scored, "audiocraft", VALUES | {"fad_vggish": 2.5})
    assert gates(["--run", str(scored)]) == 1
    assert "fails" in capsys.readouterr().out
    change(scored, "generated.json", model="mine")
    assert gates(["--run", str(scored)]) == 0
    assert "nothing binds other models" in capsys.readouterr().err


def test_gates_of_a_stand_in_ask_for_marks_and_not_for_values(scored, capsys):
    change(scored, "choice.json", v1=False)
    write_report(scored, "audiocraft", VALUES | {"fad_vggish": 99.0}, stand_in=True)
    assert gates(["--run", str(scored)]) == 0
    shown = capsys.readouterr().out
    assert "99" not in shown
    assert shown.count("holds") == 3

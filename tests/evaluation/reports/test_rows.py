import math
import re

from evaluation.reports.report import Report
from evaluation.reports.rows import latex_table, markdown_table
from evaluation.scorers.base import STAND_IN
from tests.evaluation.reports.test_report import make_report, make_score

NASTY = r"50% of a_b & {c} \d$ ~^ <x> | #1"


def test_a_markdown_row_has_value_interval_n_and_card():
    lines = make_report().to_markdown().splitlines()
    assert lines[0].startswith("|  | Level, generated over reference (median), dB → 0 | N |")
    assert lines[2] == "| g | -6.021 [-6.5, -5.5] | 12 | demo v1, not the shipped v2 |"
    assert "95% interval" in lines[4]
    assert "not computed: fad\\_vggish" in "\n".join(lines)


def test_rows_of_several_reports_have_the_columns_of_all():
    other = make_score(name="si_sdr", label="SI-SDR", best="high", value=math.nan, n=5)
    reports = {
        "a": make_report(),
        "b": make_report(scores={"si_sdr": other}),
        "c": make_report(scores={"level_difference_db": make_score(n=7, interval=None)}),
    }
    rows = [line.split(" | ") for line in markdown_table(reports).splitlines()[:5]]
    assert [len(row) for row in rows] == [5] * 5
    assert rows[2][1:3] == ["-6.021 [-6.5, -5.5]", "--"]
    assert rows[3][1:3] == ["--", "--"]  # NaN is no value
    assert rows[4][1:3] == ["-6.021 (N = 7)", "--"]


def test_markdown_escapes_what_would_break_the_table():
    row = make_report().to_markdown(name="a|b *c*\n<d>").splitlines()[2]
    assert row.startswith(r"| a\|b \*c\* \<d\> | ")


def test_latex_is_a_booktabs_table():
    text = make_report().to_latex(name=NASTY)
    body = [line for line in text.splitlines() if not line.startswith("%")]
    assert body[0] == r"\begin{tabular}{lrrl}"
    assert [body[i] for i in (1, 3, 5, 6)] == [
        r"\toprule",
        r"\midrule",
        r"\bottomrule",
        r"\end{tabular}",
    ]
    for line in (body[2], body[4]):
        cells = re.split(r"(?<!\\)&", line.removesuffix(r"\\"))
        assert len(cells) == 4
        assert line.count("{") - line.count(r"\{") == line.count("}") - line.count(r"\}")
    assert r"\shortstack[r]{-6.021\\ {\scriptsize [-6.5, -5.5]}}" in body[4]
    assert r"\downarrow" not in body[2]
    assert r"$\to 0$" in body[2]


def test_latex_lines_stay_lines():
    report = make_report(flags=["first line\nsecond line"])
    text = latex_table({"x": report})
    assert r"x: first line second line\par" in text.splitlines()


def test_warnings_stand_under_the_table():
    for text in (make_report().to_markdown(), make_report().to_latex()):
        assert "g: warning: something odd" in text


def test_random_weights_are_marked_at_each_value_and_the_table_fits_a_page():
    """Of the headings the words are gone, not the mark: it goes where a number goes."""
    titles = {"kld_passt": "KL divergence of PaSST classes", "fad_vggish": "FAD (VGGish)"}
    scores = {
        key: make_score(name=key, label=STAND_IN + title, unit="nats", details={"stand_in": True})
        for key, title in titles.items()
    }
    random = make_report(scores=scores)
    trained = make_report(
        scores={"kld_passt": make_score(name="kld_passt", label=titles["kld_passt"])}
    )
    markdown = markdown_table({"r": random, "t": trained})
    latex = latex_table({"r": random, "t": trained})
    table = markdown.split("\n\n")[0]
    assert "stand-in" not in table
    assert table.splitlines()[2].count("-6.021†") == 2
    assert "†" not in table.splitlines()[3]
    assert "† Random weights" in markdown
    seen, _, notes = latex.partition(r"\end{tabular}")
    assert seen.count(r"-6.021$^\dagger$") == 2
    assert r"\shortstack[r]{KL divergence\\of PaSST\\classes, nats $\to 0$}" in seen
    assert r"$^\dagger$ Random weights" in notes
    assert r"r: warning: something odd\par" in notes.splitlines()


def test_a_name_is_that_of_the_row_and_of_the_page(tmp_path):
    data = make_report().data | {"name": "ours | 2"}
    report = make_report(data=data)
    assert report.to_markdown().splitlines()[2].startswith(r"| ours \| 2 | ")
    report.to_json(tmp_path / "r.json")
    assert Report.from_json(tmp_path / "r.json").name() == "ours | 2"


def test_a_legend_speaks_of_brackets_where_there_are_some_and_every_lack_has_its_reason():
    few = {"bias": {"estimate": None, "reason": "fewer than 100 clips"}}
    fad = {"name": "fad_vggish", "label": "FAD (VGGish)", "details": few}
    with_interval = make_report(scores={"fad_vggish": make_score(**fad)})
    few["no_interval"] = "fewer than 8 clips"
    without = make_report(scores={"fad_vggish": make_score(**fad, interval=None)})
    nothing = make_report(
        scores={"fad_vggish": make_score(**fad, value=math.nan, reason="silent", interval=None)}
    )
    for form in (Report.to_markdown, Report.to_latex):
        text = form(with_interval)
        assert "In brackets" in text
        assert "nominal; near the floor" in text
        assert "the interval leaves out what N adds to the distance, of which there is no" in text
        text = form(without)
        assert "brackets" not in text
        assert "nominal" not in text
        assert "fewer than 8 clips" in text
        assert "(silent" in form(nothing)

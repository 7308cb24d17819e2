import pytest

from evaluation.comparison.compare import compare_reports
from evaluation.comparison.latex import comparison_latex
from evaluation.comparison.show import comparison_markdown, comparison_text
from tests.evaluation.comparison.test_compare import moved, write

LEVEL = "level_difference_db"
BANNER = "Their scores show that the instrument runs; they say nothing about the sounds."


def shown_in(comparison):
    """Return the comparison as every kind of reader sees it."""
    pytest.importorskip("jinja2")
    from evaluation.comparison.page import comparison_page

    latex = comparison_latex(comparison).splitlines()
    return {
        "terminal": comparison_text(comparison),
        "Markdown": comparison_markdown(comparison).replace("\\", ""),
        "LaTeX": "\n".join(line for line in latex if not line.startswith("%")),
        "HTML": comparison_page(comparison),
    }


def test_warnings_and_flags_of_the_reports_are_shown_with_whose_they_are(tmp_path):
    a = moved(0.0, flags=["ranks silence above"], warnings=["rank deficient", "of a alone"])
    b = moved(2.0, warnings=["rank deficient"])
    comparison = compare_reports(*write(tmp_path, a, b))
    assert comparison["reports"][0]["flags"] == ["ranks silence above"]
    assert "rank deficient" in comparison["reports"][1]["warnings"]
    for form, text in shown_in(comparison).items():
        assert "a: flag: ranks silence above" in text, form
        assert text.count("a, b: warning: rank deficient") == 1, form
        assert "a: warning: of a alone" in text, form


def test_random_weights_are_said_over_the_tables_and_crown_nobody(tmp_path):
    stand_in = {f"scores__{LEVEL}__details": {"stand_in": True, "statistic": "median"}}
    reports = [moved(shift) for shift in (0.0, 2.0)]
    for report in reports:
        report["scores"][LEVEL]["details"] |= stand_in[f"scores__{LEVEL}__details"]
    comparison = compare_reports(*write(tmp_path, *reports))
    assert comparison["scores"][LEVEL]["stand_in"]
    forms = shown_in(comparison)
    for form, text in forms.items():
        assert "is better" not in text, form
        assert "random weights, no verdict" in text, form
        if form != "LaTeX":  # a mark at each value, and what it means
            assert text.index(BANNER) < text.index("frechet"), form
    trained = shown_in(compare_reports(*write(tmp_path, moved(0.0), moved(2.0))))
    assert all(BANNER not in text and "is better" in text for text in trained.values())


def test_what_the_intervals_of_the_scores_mean_and_leave_out_is_said(tmp_path):
    a, b = moved(0.0), moved(2.0)
    for report in (a, b):
        report["scores"][LEVEL]["details"]["interval_of"] = "where the mean lies"
    details = b["scores"]["frechet_logmel_standin"]["details"]
    details["bias"] = {"estimate": None, "reason": "few clips", "method": "jackknife"}
    for form, text in shown_in(compare_reports(*write(tmp_path, a, b))).items():
        assert "there is no estimate: few clips" in text, form
        assert f"interval of {LEVEL}: where the mean lies" in text.replace("\\", ""), form

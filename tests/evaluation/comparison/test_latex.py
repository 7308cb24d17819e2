import json

from evaluation.comparison.compare import compare_reports
from evaluation.comparison.latex import comparison_latex
from tests.evaluation.comparison.test_compare import moved

LEVEL = "level_difference_db"


def table(tmp_path, *reports, anyway=False):
    """Return what a reader of the paper sees, without comments, and the comparison."""
    paths = [tmp_path / f"{name}.json" for name, _ in zip("abc", reports, strict=False)]
    for path, content in zip(paths, reports, strict=True):
        path.write_text(json.dumps(content))
    comparison = compare_reports(*paths, anyway=anyway)
    lines = comparison_latex(comparison).splitlines()
    return "\n".join(line for line in lines if not line.startswith("%")), comparison


def test_only_what_is_shown_is_counted_and_the_rest_is_named(tmp_path):
    seen, comparison = table(tmp_path, moved(0.0), moved(2.0), moved(3.0))
    intervals = [d["interval"] for d in comparison["scores"][LEVEL]["differences"]]
    assert all(intervals)
    assert len(intervals) == 3
    assert "Intervals shown: 2;" in seen
    assert "Not in this table: c - b." in seen
    assert "Not in this table" not in table(tmp_path, moved(0.0), moved(2.0))[0]


def test_card_n_and_verdicts_are_visible(tmp_path):
    noisy = moved(lambda i: 3.0 * (-1) ** i + 0.3)
    seen, _ = table(tmp_path, moved(0.0), moved(2.0), noisy)
    assert r"Protocol demo v1, not the shipped v2; N = 20 pairs.\par" in seen
    assert r"label of level\_difference\_db: resolved, a is better (N to see it: 8)." in seen
    assert r"label of level\_difference\_db: not resolved (N to see it: " in seen
    assert r"label of frechet\_logmel\_standin: no interval;" in seen
    assert "difference: interval from a paired bootstrap of the median over clips" in seen
    other, _ = table(tmp_path, moved(0.0), moved(2.0, data__pairs=19), anyway=True)
    assert r"a: protocol demo v1, not the shipped v2; N = 20 pairs.\par" in other
    assert r"b: protocol demo v1, not the shipped v2; N = 19 pairs.\par" in other
    assert "(N = 20)" in other  # of the scores of b, which has 19 pairs
    assert "resolved" not in other


def test_without_an_interval_no_brackets_are_spoken_of(tmp_path):
    a, b = moved(0.0), moved(2.0)
    for report in (a, b):
        for score in report["scores"].values():
            score["interval"] = None
            score["details"]["no_interval"] = "there is none"
    b["scores"]["frechet_logmel_standin"] |= {"value": None, "reason": "none"}
    seen, _ = table(tmp_path, a, b)
    assert "In brackets" not in seen
    assert "Intervals shown" not in seen
    assert "difference: no interval: there is none" in seen
    assert "\u2013: no value." in seen

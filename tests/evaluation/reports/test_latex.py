"""What LaTeX would read as a command comes out as a letter; where there is a TeX, it is asked."""

import shutil
import subprocess

import pytest

from evaluation.reports.latex import ESCAPES, PRINTED, latex_text
from evaluation.reports.rows import latex_table
from tests.evaluation.comparison.test_compare import moved, write
from tests.evaluation.reports.test_report import make_report

SPECIAL = {
    "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': "''",
    "[": "{[}", "*": "{*}", "≥": r"$\geq$", "±": r"$\pm$", "\u2212": "$-$", "\u2013": "\u2013",
}  # fmt: skip
NASTY = "".join(SPECIAL)


@pytest.mark.parametrize("letter", SPECIAL)
def test_letters_with_a_meaning_are_escaped(letter):
    assert latex_text(f"a{letter}b") == f"a{SPECIAL[letter]}b"


def test_many_of_them_are_escaped_once():
    assert latex_text(NASTY) == "".join(SPECIAL.values())
    assert latex_text("\\input{x}") == r"\textbackslash{}input\{x\}"


def test_a_name_stays_one_line_and_its_hyphens_stay_hyphens():
    assert latex_text("a\nb\r\n c\u2028d\te") == "a b c d e"
    assert latex_text("a\x1b[0m\x00") == r"a\textbackslash{}x1b{[}0m\textbackslash{}x00"
    assert latex_text("a---b--c-d") == "a-{}-{}-b-{}-c-d"
    assert latex_text("e\u0301") == "é"  # the decomposed form has no glyph in pdflatex


def test_the_first_line_says_what_the_table_needs():
    def needs(name):
        return latex_table({name: make_report()}).splitlines()[0]

    assert needs(f"{NASTY}é") == "% Needs the package booktabs."
    more = "% Needs the package booktabs; for letters that pdflatex lacks, xelatex or lualatex"
    for name in ("犬", "ω", "þ"):
        assert needs(name).startswith(more)


def tex(body, folder):
    """Compile a document that has no more than the named package; return the log."""
    lines = [r"\documentclass{article}", r"\usepackage{booktabs}", r"\begin{document}", body]
    (folder / "t.tex").write_text("\n".join([*lines, r"\end{document}", ""]))
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "t"]
    done = subprocess.run(command, cwd=folder, capture_output=True, timeout=120, check=False)
    return done.returncode, done.stdout.decode(errors="replace")[-2000:]


def has_tex():
    if shutil.which("pdflatex") is None or shutil.which("kpsewhich") is None:
        return False
    return bool(subprocess.run(["kpsewhich", "booktabs.sty"], capture_output=True).stdout)


@pytest.mark.skipif(not has_tex(), reason="no pdflatex with booktabs here")
def test_tables_compile_with_the_package_they_name(tmp_path):
    from evaluation.comparison.compare import compare_reports
    from evaluation.comparison.latex import comparison_latex

    every = latex_text("".join(sorted({*PRINTED, *ESCAPES})))
    names = [NASTY, "[2pt] a", "* b", "[c]", "a -- b\nc", "ü é ř"]
    comparison = compare_reports(*write(tmp_path, moved(0.0), moved(2.0)), cache=None)
    tables = [latex_table({name: make_report() for name in names}), comparison_latex(comparison)]
    assert all(table.startswith("% Needs the package booktabs.\n") for table in tables)
    code, log = tex("\n\n".join([*tables, every]), tmp_path)
    assert code == 0, log

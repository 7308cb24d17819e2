"""Text inside of a LaTeX table: nothing of it is read as a command, and pdflatex can print it."""

import re
import textwrap
import unicodedata
from collections.abc import Iterable

from evaluation.folders import printable

MARK, LATEX_MARK = "†", r"$^\dagger$"
HEADING = 14  # letters of a line of a heading
ESCAPES = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",  # \textquotedbl is not in the default encoding, and babel gives " a meaning
    "[": "{[}",  # at the start of a row it would be an option of the line before
    "*": "{*}",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "≈": r"$\approx$",
    "±": r"$\pm$",
    "\u00d7": r"$\times$",
    "\u2212": "$-$",  # the minus sign
    "→": r"$\to$",
    "∞": r"$\infty$",
    "µ": r"$\mu$",
    "…": r"\ldots{}",
    **{letter: f"\\{letter}" for letter in "&%$#_"},
}
PUNCTUATION = "\u2013\u2014\u2018\u2019\u201c\u201d†‡•"  # dashes and quotation marks
# Of Latin letters pdflatex lacks these, in its default encoding; found by compiling each.
LACKED = set("«»ÐÞðþĄąĐđĘęĦħĮįĸĿŀŉŊŋŦŧŲųſ")
PRINTED = {*map(chr, range(0x20, 0x180)), *PUNCTUATION} - LACKED


def latex_text(text: str) -> str:
    r"""Escape what LaTeX reads as a command, and lines that would end a comment.

    Letters that pdflatex cannot print stay as they are; see `packages_line`.

    >>> latex_text("50 % of a_b")
    '50 \\% of a\\_b'
    """
    plain = printable(unicodedata.normalize("NFC", " ".join(text.split())))
    escaped = "".join(ESCAPES.get(letter, letter) for letter in plain)
    return re.sub("-(?=-)", "-{}", escaped)  # two would become a dash


def latex_heading(title: str, arrow: str) -> str:
    r"""Return the heading of a column of numbers, broken so that many fit on a page.

    >>> latex_heading("KL divergence of classes, nats", "$\\downarrow$")
    '{\\footnotesize\\shortstack[r]{KL divergence\\\\of classes,\\\\nats $\\downarrow$}}'
    """
    lines = textwrap.wrap(title, HEADING, break_long_words=False, break_on_hyphens=False) or [""]
    broken = r"\\".join(map(latex_text, lines))
    return rf"{{\footnotesize\shortstack[r]{{{broken} {arrow}}}}}"


def latex_cell(value: str, interval: str) -> str:
    r"""Return a value with its interval under it, which takes half of the width.

    >>> latex_cell("1.5", "[1, 2]")
    '\\shortstack[r]{1.5\\\\ {\\scriptsize [1, 2]}}'
    """
    return rf"\shortstack[r]{{{value}\\ {{\scriptsize {interval}}}}}" if interval else value


def latex_notes(notes: Iterable[str]) -> list[str]:
    """Return the lines that set notes under a table, each a paragraph as wide as the page."""
    body = [rf"{latex_text(note).replace(MARK, LATEX_MARK)}\par" for note in notes]
    if not body:
        return []
    return [r"\par\smallskip", r"\begin{minipage}{\linewidth}\footnotesize\raggedright", *body,
            r"\end{minipage}"]  # fmt: skip


def packages_line(lines: Iterable[str]) -> str:
    """Return a comment that says what a table needs to be compiled."""
    printed = all(PRINTED.issuperset(line) for line in lines if not line.startswith("%"))
    more = "" if printed else "; for letters that pdflatex lacks, xelatex or lualatex and a font"
    return f"% Needs the package booktabs{more}."

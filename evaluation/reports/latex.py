"""Text inside of a LaTeX table: nothing of it is read as a command, and pdflatex can print it."""

import re
import unicodedata
from collections.abc import Iterable

from evaluation.folders import printable

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


def packages_line(lines: Iterable[str]) -> str:
    """Return a comment that says what a table needs to be compiled."""
    printed = all(PRINTED.issuperset(line) for line in lines if not line.startswith("%"))
    more = "" if printed else "; for letters that pdflatex lacks, xelatex or lualatex and a font"
    return f"% Needs the package booktabs{more}."

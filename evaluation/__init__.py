"""The instrument: scores of generated sound against reference sound, with their provenance.

It imports nothing of the library it measures. `python -m evaluation REFERENCE GENERATED` is the
command; `evaluate` is the same thing as a function. Heavy packages load on first use.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evaluation.reports.report import Report
    from evaluation.suite import evaluate

__all__ = ["Report", "__version__", "evaluate"]

__version__ = "0.3.0"  # goes into every report; raise it with any change that can move a number


def __getattr__(name: str) -> Any:
    """Import `evaluate` and `Report` when they are first asked for, so that --help stays quick."""
    if name == "evaluate":
        from evaluation.suite import evaluate

        return evaluate
    if name == "Report":
        from evaluation.reports.report import Report

        return Report
    raise AttributeError(f"module 'evaluation' has no attribute {name!r}")

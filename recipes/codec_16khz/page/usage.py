"""How evenly the entries of each codebook are used, as pictures."""

from collections.abc import Sequence

from recipes.page.curves import Chart, Line, chart


def usage_charts(counts: Sequence[Sequence[int]]) -> list[Chart]:
    """Draw for each codebook how often its entries were chosen, the most used first.

    Args:
        counts: K rows of N counts.
    """
    charts = (_ranked(number, row) for number, row in enumerate(counts, start=1))
    return [drawn for drawn in charts if drawn]


def _ranked(number: int, counts: Sequence[int]) -> Chart | None:
    even = sum(counts) / len(counts)
    shares = [count / even for count in sorted(counts, reverse=True)]
    chosen = [share for share in shares if share > 0]  # zero has no place on a log scale
    ranks = [float(rank) for rank in range(1, len(counts) + 1)]
    lines = [
        Line(name="chosen", x=ranks[: len(chosen)], y=chosen, filled=True),
        Line(name="all alike", x=[1.0, ranks[-1]], y=[1.0, 1.0], color=1, dashed=True),
    ]
    never = len(shares) - len(chosen)
    note = f"Most used: {shares[0]:.1f} times its even share. Never chosen: {never}"
    return chart(
        f"codebook {number}",
        lines,
        "times the even share",
        x_label="entries, most used first",
        note=note,
        log_y=True,
    )

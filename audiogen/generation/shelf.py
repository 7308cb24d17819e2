"""Captured steps kept from one call to the next, as capturing them takes a good part of a second.

Steps in use are off the shelf, so calls of several threads, or one inside another, never share.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from audiogen.lm.graphs import Graphs, choose_graphs
from audiogen.lm.model import TokenLM


class Shelf:
    """Holds the CUDA graphs of one finished call, with their buffers; on a CPU there are none.

    Args:
        most_rows: of a call whose graphs are worth their memory; None is any number.
    """

    def __init__(self, *, most_rows: int | None) -> None:
        self.most_rows = most_rows
        self._kept: list[Graphs] = []

    @contextmanager
    def lent(self, lm: TokenLM, device: torch.device, *, rows: int) -> Iterator[Graphs | None]:
        """Give graphs for a call of ``rows``; those of one that fails are dropped."""
        try:
            graphs: Graphs | None = self._kept.pop()
        except IndexError:
            graphs = choose_graphs(None, lm, device)
        yield graphs
        if graphs is not None and not self._kept and rows <= (self.most_rows or rows):
            self._kept.append(graphs)

"""Does a codec use the codes it pays for? Statistics of its codebooks, by how often codes occur."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from audiogen.codec.model import Codec  # whose quantizer needs this file


def code_statistics(counts: Tensor) -> dict[str, Tensor]:
    """How evenly codes are used, from how often each was chosen.

    Args:
        counts: non-negative [..., N], N at least 2.

    Returns:
        float [...] each: ``entropy`` in bits; ``perplexity`` (2 ** entropy: how many equally used
        codes would carry as much, 1 to N); ``efficiency``, entropy over the log2(N) bits that a
        code costs, 0 to 1; and ``usage``, the share of codes chosen at all. NaN, and a usage of
        0, where nothing was counted.

    >>> code_statistics(torch.tensor([2.0, 2.0, 0.0, 0.0]))["perplexity"].item()
    2.0
    >>> code_statistics(torch.tensor([2, 2, 0, 0]))["efficiency"].item()
    0.5
    """
    share = counts.double() / counts.double().sum(dim=-1, keepdim=True)
    entropy = -torch.special.xlogy(share, share).sum(dim=-1) / math.log(2)
    return {
        "entropy": entropy.float(),
        "perplexity": torch.exp2(entropy).float(),
        "efficiency": (entropy / math.log2(counts.shape[-1])).float(),
        "usage": (counts > 0).float().mean(dim=-1),
    }


def count_codes(codes: Tensor, codebook_size: int) -> Tensor:
    """Count how often each code of each codebook occurs in int64 [B, K, T]: int64 [K, N].

    >>> count_codes(torch.tensor([[[0, 0, 2], [1, 1, 1]]]), codebook_size=3).tolist()
    [[2, 0, 1], [0, 3, 0]]
    """
    rows = [torch.bincount(row.flatten(), minlength=codebook_size) for row in codes.unbind(dim=1)]
    return torch.stack(rows)


def drift(before: Tensor, after: Tensor) -> Tensor:
    """How far the entries of a codebook moved between two snapshots.

    Args:
        before: float [..., N, D], the entries.
        after: the same entries later, in the same order.

    Returns:
        float [...], the root mean square distance that entries moved, in units of the root mean
        square distance of the earlier entries from their mean: 0 is no movement, and 1 says that
        an entry moved as far as entries lie from their center. Entries that were restarted count
        as having moved. NaN where all the earlier entries are the same.

    >>> square = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    >>> round(drift(square, 1.5 * square).item(), 3)
    0.5
    """
    if before.shape != after.shape or before.ndim < 2:
        raise ValueError(
            f"expected two snapshots [..., N, D] of the same entries, got {list(before.shape)} "
            f"and {list(after.shape)}"
        )
    before, after = before.double(), after.double()
    moved = (after - before).square().sum(dim=-1).mean(dim=-1)
    spread = (before - before.mean(dim=-2, keepdim=True)).square().sum(dim=-1).mean(dim=-1)
    return torch.where(spread > 0, (moved / spread).sqrt(), torch.nan).float()


@dataclass(frozen=True, kw_only=True, slots=True)
class CodebookHealth:
    """How one codebook is used."""

    usage: float  # share of the entries that were chosen at all
    dead: int  # entries that were never chosen
    perplexity: float  # equally used entries that would carry as much, 1 to N
    entropy: float  # bits per code
    efficiency: float  # entropy over the log2(N) bits that a code costs
    restarts: int  # entries replaced while the codec was trained


@dataclass(frozen=True, kw_only=True, slots=True)
class Health:
    """How the codebooks of a codec are used over a set of sounds.

    The effective bit rate is what a coder would need that knows how often each code of each
    codebook occurs, and nothing of its neighbors in time and in the other codebooks. It is an
    upper bound on the information in the codes.
    """

    codebooks: tuple[CodebookHealth, ...]
    codebook_size: int  # N
    frames: int  # counted; with fewer than ten per entry, rare entries look dead
    nominal_bitrate: float  # kbit/s
    effective_bitrate: float  # kbit/s

    @property
    def efficiency(self) -> float:
        """Share of the nominal bit rate that carries something, 0 to 1."""
        return self.effective_bitrate / self.nominal_bitrate


def health_of(
    counts: Tensor, *, frame_rate: float, restarts: Sequence[int] | None = None
) -> Health:
    """Judge how codes are used, from how often each occurred.

    Args:
        counts: int64 [K, N], every codebook counted over the same frames.
        frame_rate: Hz.
        restarts: K numbers of entries replaced in training; None where nobody counted: zeros.

    >>> health = health_of(torch.tensor([[1, 1, 1, 1], [2, 2, 0, 0]]), frame_rate=50)
    >>> [(book.perplexity, book.dead) for book in health.codebooks]
    [(4.0, 0), (2.0, 2)]
    >>> health.nominal_bitrate, round(health.effective_bitrate, 3), round(health.efficiency, 3)
    (0.2, 0.15, 0.75)
    """
    _check_counts(counts, restarts)
    num_codebooks, size = counts.shape
    numbers = {name: value.tolist() for name, value in code_statistics(counts).items()}
    codebooks = tuple(
        CodebookHealth(
            dead=int((counts[k] == 0).sum()),
            restarts=int(restarts[k]) if restarts is not None else 0,
            **{name: values[k] for name, values in numbers.items()},
        )
        for k in range(num_codebooks)
    )
    return Health(
        codebooks=codebooks,
        codebook_size=size,
        frames=int(counts[0].sum()),
        nominal_bitrate=num_codebooks * math.log2(size) * frame_rate / 1000,
        effective_bitrate=sum(book.entropy for book in codebooks) * frame_rate / 1000,
    )


@torch.no_grad()
def measure_health(codec: "Codec", waveforms: Iterable[Tensor]) -> Health:
    """Encode sounds and judge how the codes are used, in memory that does not grow with them.

    Args:
        codec: in training mode it is put in eval mode meanwhile, so that it does not learn.
        waveforms: float [B, C, T] each, at the codec's rate; lengths may differ.

    Raises:
        ValueError: if there is not a single sound.
    """
    counts = torch.zeros(codec.num_codebooks, codec.codebook_size, dtype=torch.int64)
    training = codec.training
    codec.eval()
    try:
        for waveform in waveforms:
            codes, _ = codec.encode(waveform)
            counts += count_codes(codes, codec.codebook_size).cpu()
    finally:
        codec.train(training)
    restarts = [int(number) for number in codec.quantizer.restarts[: codec.num_codebooks]]
    return health_of(counts, frame_rate=codec.frame_rate, restarts=restarts)


def _check_counts(counts: Tensor, restarts: Sequence[int] | None) -> None:
    if counts.ndim != 2 or counts.shape[1] < 2:
        raise ValueError(f"expected counts [K, N] with N at least 2, got {list(counts.shape)}")
    totals = counts.sum(dim=1)
    if bool((counts < 0).any()) or bool((totals != totals[0]).any()):
        raise ValueError(
            f"expected every codebook counted over the same frames, got {totals.tolist()} of them"
        )
    if totals[0] == 0:
        raise ValueError("no code was counted: give at least one sound")
    if restarts is not None and len(restarts) != len(counts):
        raise ValueError(f"expected {len(counts)} numbers of restarts, got {list(restarts)}")

"""CUDA graphs: a step is captured once and replayed, with everything at fixed places in memory."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audiogen.lm.guidance import Guidance
from audiogen.lm.guided import GuidedDecoder
from audiogen.lm.model import TokenLM
from audiogen.lm.noise import Noise
from audiogen.lm.plan import Passes, Plan
from audiogen.lm.sampling import Sampling
from audiogen.lm.step import Steps

logger = logging.getLogger(__name__)

Action = Callable[[], None]
Capture = Callable[[Action], Action]
BUCKET = 64  # steps: the cache is read up to the next multiple of it
TEXT_BUCKET = 16  # positions, so that captions of about one length share graphs


@dataclass(frozen=True, kw_only=True)
class Call:
    """What one call of the generator asks of its steps."""

    lm: TokenLM
    text: Tensor  # float [B, L, D], projected
    text_mask: Tensor | None  # bool [B, L]
    plan: Plan
    guidance: Guidance
    sampling: Sampling
    sequence: Tensor  # int64 [B, K, S], see `Steps`
    noise: Noise | None

    def eager_steps(self) -> Steps:
        """Return steps whose positions the host knows: exactly the filled cache is read."""
        return Steps(
            self.decoder(self.plan.max_steps),
            plan=self.plan,
            sampling=self.sampling,
            sequence=self.sequence,
            noise=self.noise,
        )

    def decoder(self, max_steps: int) -> GuidedDecoder:
        """Return a decoder for up to ``max_steps``."""
        return GuidedDecoder(
            self.lm,
            text=self.text,
            text_mask=self.text_mask,
            max_steps=max_steps,
            guidance=self.guidance,
            halves=self.plan.halves,
        )

    def key(self) -> tuple[Any, ...]:
        """Return what captured steps depend on: addresses, sizes and numbers that are part of them.

        Of the weights the addresses count: values may change between calls.
        """
        weights = tuple(weight.data_ptr() for weight in self.lm.parameters())
        scale, two_step = self.guidance.scale, self.guidance.two_step
        sizes = (tuple(self.text.shape), self.noise is None)
        return (id(self.lm), weights, scale, two_step, self.sampling, sizes)


class GraphedSteps(Steps):
    """Steps whose positions only the device knows, in buffers that stay where they are."""

    def __init__(self, call: Call, *, capture: Capture, bucket: int) -> None:
        super().__init__(
            call.decoder(call.sequence.shape[2] - 1),
            plan=call.plan,
            sampling=call.sampling,
            sequence=call.sequence.clone(),
            noise=call.noise,
        )
        self.call_key, self.halves = call.key(), call.plan.halves
        self.capture, self.bucket = capture, bucket
        device = call.sequence.device
        self.position = torch.zeros(1, dtype=torch.long, device=device)  # the next to be read
        self.position_on_host = 0
        shape = (len(call.sequence), call.lm.num_codebooks, call.lm.codebook_size)
        self.races = None if call.noise is None else torch.ones(shape, device=device)
        self.replays: dict[tuple[Passes, int], Action] = {}

    def fits(self, call: Call) -> bool:
        """Whether the buffers and what was captured serve another call."""
        return (
            call.key() == self.call_key
            and call.plan.halves <= self.halves
            and call.sequence.shape[2] <= self.sequence.shape[2]
        )

    def load(self, call: Call) -> None:
        """Begin another call, one that `fits`."""
        self.plan, self.noise = call.plan, call.noise
        steps = call.sequence.shape[2]
        self.sequence[:, :, :steps].copy_(call.sequence)
        self.missing[:, :steps].copy_(call.plan.missing)
        self.decoder.begin(call.text, call.text_mask)
        self.harm.zero_()
        self._move_to(0)

    def take(self, step: int) -> None:
        """Do what `Steps.take` does, by replaying."""
        passes = self.plan.passes[step]
        self.decoder.catch_up(self.sequence, step - 1, passes)
        if self.position_on_host != step - 1:
            self._move_to(step - 1)
        if self.noise is not None and self.races is not None:
            self.races.copy_(self.noise.next())
        longest = self.sequence.shape[2] - 1
        self._replay(passes, min(-(-step // self.bucket) * self.bucket, longest))
        self.decoder.has_read(step, passes)
        self.position_on_host = step

    def _move_to(self, position: int) -> None:
        self.position.fill_(position)
        self.position_on_host = position

    def _replay(self, passes: Passes, length: int) -> None:
        """Take the step at `position`; the first of its kind is taken as it is, then captured."""
        replay = self.replays.get((passes, length))
        if replay is not None:
            replay()
            return
        action = partial(self.step, passes, length)
        action()
        self.replays[passes, length] = self.capture(action)

    def step(self, passes: Passes, length: int) -> None:
        """Read the step at `position`, move on, and draw and write what is missing there.

        All of it happens on the device; the shapes depend on nothing but ``length``.
        """
        read = self.sequence.index_select(2, self.position)
        logits = self.decoder.logits_at(read, self.position, length=length, passes=passes)
        codes = self.draw(logits, self.races)
        self.position.add_(1)
        held = self.sequence.index_select(2, self.position)
        missing = self.missing.index_select(1, self.position)
        self.sequence.index_copy_(2, self.position, codes[..., None].where(missing, held))


class Graphs:
    """Captured steps and their memory, kept for later calls of the same sizes.

    Give one object to several calls, as of the windows of a long sound, and they capture once. It
    holds the buffers of the last call, KV cache included, until it is dropped.

    Args:
        capture: turns an action, done once already, into one that repeats it; None captures CUDA
            graphs. The identity runs the same code step by step, on any device.
        strict: raise the error of a capture that fails. Otherwise a warning says so, and the same
            steps go on without being captured.
        bucket: steps of the cache that are read together.
    """

    def __init__(
        self, *, capture: Capture | None = None, strict: bool = False, bucket: int = BUCKET
    ) -> None:
        if bucket < 1:
            raise ValueError(f"bucket must be at least 1 step, got {bucket}")
        self._capture = CudaCapture() if capture is None else capture
        self.strict, self.bucket = strict, bucket
        self._kept: GraphedSteps | None = None

    def steps(self, call: Call) -> GraphedSteps:
        """Return steps for a call: the last call's, where its sizes are the same."""
        call = _padded(call)
        if self._kept is None or not self._kept.fits(call):
            self._kept = None  # before memory is taken for the next
            self._kept = GraphedSteps(call, capture=self.capture, bucket=self.bucket)
        self._kept.load(call)
        return self._kept

    def capture(self, action: Action) -> Action:
        """Capture an action; one that cannot be captured is done again every time."""
        try:
            return self._capture(action)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            if self.strict:
                raise
            first = str(error).partition("\n")[0]
            logger.warning("CUDA graph not captured, going on without: %s", first)
            self._capture = _as_it_is
            return action


class CudaCapture:
    """Captures actions as CUDA graphs that share one pool of memory, as they never overlap."""

    def __init__(self) -> None:
        self.pool: Any = None

    def __call__(self, action: Action) -> Action:
        """Return the replay of an action that was done once, so that nothing is initialized."""
        if self.pool is None:
            self.pool = torch.cuda.graph_pool_handle()
        graph = torch.cuda.CUDAGraph()
        # Other threads may go on using the device meanwhile.
        with torch.cuda.graph(graph, pool=self.pool, capture_error_mode="thread_local"):
            action()
        return graph.replay


def _as_it_is(action: Action) -> Action:
    return action


def choose_graphs(
    graphs: Graphs | bool | None, lm: nn.Module, device: torch.device
) -> Graphs | None:
    """Return what captures steps, None for nothing.

    Args:
        graphs: one to be used; true for one of this call alone, which has to work; None for one
            where it pays: on a CUDA device, for a model without hooks or compiled parts.
        lm: the model.
        device: where it is.

    Raises:
        ValueError: if graphs are asked for and there is no CUDA device, or it is none of these.
    """
    if isinstance(graphs, Graphs):
        return graphs
    if graphs is not None and not isinstance(graphs, bool):
        raise ValueError(f"graphs must be true, false, None or a Graphs, got {graphs!r}")
    if graphs and device.type != "cuda":
        raise ValueError(
            f"CUDA graphs need a model on a CUDA device, this one is on {device}: move it there, "
            f"or leave out graphs=True"
        )
    if graphs or (graphs is None and device.type == "cuda" and _is_plain(lm)):
        return Graphs(strict=bool(graphs))
    return None


def _is_plain(lm: nn.Module) -> bool:
    """Whether nothing but its modules' code runs when a model is called."""
    return not any(
        module._forward_hooks or module._forward_pre_hooks or module._compiled_call_impl
        for module in lm.modules()
    )


def _padded(call: Call) -> Call:
    """Pad the text to the next bucket and mask the padding, which changes no value."""
    batch, length = call.text.shape[:2]
    extra = -length % TEXT_BUCKET
    mask = call.text_mask
    if mask is None:
        mask = torch.ones(batch, length, dtype=torch.bool, device=call.text.device)
    return replace(call, text=F.pad(call.text, (0, 0, 0, extra)), text_mask=F.pad(mask, (0, extra)))

"""One update of the real training, `LMModule` in Lightning, beside one of the plain baseline."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from audiogen.data.shards import TokenShardWriter
from audiogen.data.tokens import TokenDataset, collate_tokens
from audiogen.lm.model import TokenLM
from audiogen.products import products
from audiogen.training.data import DataModule, EndlessLoader
from audiogen.training.lm_module import LMModule
from audiogen.training.throughput import training_flops
from recipes.speed.lm_baseline import PlainLM, PlainTraining
from recipes.speed.timing import Times, in_turns
from recipes.speed.turns import Turns, fit_quietly

WAYS: Mapping[str, Mapping[str, str]] = {
    "exact": {"precision": "32-true"},
    "exact-onednn": {"precision": "32-true", "products": "onednn"},
    "bf16": {"precision": "bf16-mixed"},
    "bf16-compiled": {"precision": "bf16-mixed", "compile": "regions"},
}
TEXT_POSITIONS = 16  # tokens of a caption of usual length
LOADED = 64  # batches that the loader is timed over


class GivenText:
    """Captions whose states are known: encoding them is no part of the comparison."""

    trainable = False
    config: Mapping[str, Any] = {"_type": "given"}

    def __init__(self, captions: Sequence[str], *, dim: int, device: str) -> None:
        self.dim, self.device = dim, device
        generator = torch.Generator().manual_seed(3)
        states = torch.randn(len(captions), TEXT_POSITIONS, dim, generator=generator).to(device)
        self.states = dict(zip(captions, states, strict=True))

    def encode(self, captions: Sequence[str | None]) -> tuple[Tensor, Tensor]:
        """Look up float [B, L, dim]; every position belongs to its caption."""
        states = torch.stack([self.states[caption or ""] for caption in captions])
        return states, torch.ones(states.shape[:2], dtype=torch.bool, device=self.device)


def write_tokens(folder: Path, lm: TokenLM, *, items: int, frames: int) -> Path:
    """Write a folder of random codes, as `scripts/encode_tokens.py` would."""
    facts = {
        "codec_hash": "0" * 64,
        "manifest_hash": "0" * 64,
        "sample_rate": 16000,
        "frame_rate": 50,
        "num_codebooks": lm.num_codebooks,
        "codebook_size": lm.codebook_size,
        "segment_frames": frames,
    }
    writer = TokenShardWriter(folder, facts=facts)
    shape = (items, lm.num_codebooks, frames)
    codes = np.random.default_rng(4).integers(0, lm.codebook_size, shape, dtype=np.uint16)
    lines = [
        {"id": str(n), "split": "train", "frames": frames, "captions": [f"sound {n}"]}
        for n in range(items)
    ]
    writer.write(0, codes, lines)
    writer.finish(num_shards=1)
    return folder


def make_module(
    lm: TokenLM,
    text: GivenText,
    *,
    compile: str = "none",  # noqa: A002  # what torch calls it
) -> LMModule:
    """Build our training as conf/train_lm.yaml does, reading as many steps as the baseline."""
    optimizer = partial(torch.optim.AdamW, lr=1e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    return LMModule(
        lm,
        text=text,
        optimizer=optimizer,
        condition_dropout=0.0,
        seed=0,
        complete=False,
        compile=compile,  # type: ignore[arg-type]
    )


def fit(
    lm: TokenLM,
    folder: Path,
    *,
    way: str,
    updates: int,
    batch: int,
    device: str,
    turns: Turns | None = None,
) -> None:
    """Train on the first ``batch`` items of a folder of codes, again and again."""
    dataset = partial(TokenDataset, folder, split="train", seed=0)
    data = DataModule(train=dataset, valid=dataset, batch_size=batch, collate=collate_tokens)
    how = WAYS[way]
    text = GivenText([f"sound {n}" for n in range(batch)], dim=lm.config["text_dim"], device=device)
    with products(how.get("products", "default")):
        fit_quietly(
            make_module(lm, text, compile=how.get("compile", "none")),
            data,
            updates=updates,
            precision=how["precision"],
            callbacks=[] if turns is None else [turns],
            device=device,
        )


def plain_batch(folder: Path, *, batch: int, device: str) -> dict[str, Any]:
    """Return all items of a folder as one batch of ours, on a device."""
    dataset = TokenDataset(folder, split="train", seed=0, fixed=True)
    made = collate_tokens([dataset[n] for n in range(batch)])
    return {k: v.to(device) if isinstance(v, Tensor) else v for k, v in made.items()}


def make_baseline(lm: TokenLM, *, batch: int, device: str) -> PlainTraining:
    """Rewrite the training of a model."""
    captions = [f"sound {n}" for n in range(batch)]
    text = GivenText(captions, dim=lm.config["text_dim"], device=device)
    return PlainTraining(PlainLM(lm).to(device), encode=text.encode)


def measure_training(
    make_lm: Callable[[], TokenLM],
    folder: Path,
    *,
    ways: Sequence[str],
    batch: int,
    frames: int,
    rounds: int,
    device: str,
    rates: Mapping[str, float],
) -> dict[str, dict[str, float]]:
    """Time updates in each way, each beside the baseline."""
    results: dict[str, dict[str, float]] = {}
    for way in ways:
        lm = make_lm().to(device)
        baseline = make_baseline(lm, batch=batch, device=device)
        given = plain_batch(folder, batch=batch, device=device)
        turns = Turns(with_torchs_products(baseline, given), device=device)
        error: dict[str, float] = {}

        def compare(module: LMModule, baseline: Any = baseline, error: Any = error) -> None:
            error["gradient_error"] = gradient_error(module.lm, baseline.lm)

        turns.after_first = compare
        fit(lm, folder, way=way, updates=rounds + 1, batch=batch, device=device, turns=turns)
        ours, theirs = Times(seconds=turns.ours), Times(seconds=turns.theirs)
        flops = training_flops(lm.config, items=batch, steps=frames, text_positions=TEXT_POSITIONS)
        results[way] = {
            "least_s": ours.least,
            "median_s": ours.median,
            "baseline_least_s": theirs.least,
            "baseline_median_s": theirs.median,
            **ours.over(theirs),
            **error,
            "mfu": flops / ours.least / ceiling(rates, way),
            "baseline_mfu": flops / theirs.least / ceiling(rates, "exact"),
        }
    return results


def with_torchs_products(baseline: PlainTraining, batch: Mapping[str, Any]) -> Callable[[], object]:
    """Return an update of the baseline, whose products are torch's own whoever calls it."""

    def step() -> None:
        with products("default"):
            baseline.step(batch)

    return step


def ceiling(rates: Mapping[str, float], way: str) -> float:
    """Return the best measured rate, FLOP/s, of products of the precision of a way."""
    wanted = "bfloat16" if WAYS[way]["precision"].startswith("bf16") else "float32"
    return 1e9 * max(rate for name, rate in rates.items() if name.startswith(wanted))


def measure_loader(folder: Path, *, batch: int) -> Times:
    """Time batches of cached tokens, loaded in this process."""
    dataset = TokenDataset(folder, split="train", seed=0)
    loader = EndlessLoader(
        dataset, batch_size=batch, rank=0, world_size=1, num_workers=0, collate_fn=collate_tokens
    )
    batches = iter(loader)
    return in_turns({"tokens": lambda: next(batches)}, rounds=LOADED)["tokens"]


def gradient_error(ours: TokenLM, plain: PlainLM) -> float:
    """Norm of the difference of all gradients over the norm of the baseline's."""
    wrong = size = 0.0
    for name, expected in plain.as_ours(lambda parameter: parameter.grad).items():
        found = ours.get_parameter(name).grad
        assert found is not None
        assert expected is not None
        wrong += (found - expected).square().sum().item()
        size += expected.square().sum().item()
    return math.sqrt(wrong / size)

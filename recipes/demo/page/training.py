"""The curves of both trainings."""

from typing import Any

from recipes.page.curves import Chart, Line, about, both, chart, codec_curves, per_codebook
from recipes.page.inputs import History, Run


def codec_section(run: Run) -> dict[str, Any]:
    """Return the curves of codec training."""
    history = run.history("train_codec", stage="codec")
    return about(history) | {
        "charts": codec_curves(history),
        "adversarial": any(name.endswith("/adversarial") for name in history.names),
    }


def lm_section(run: Run) -> dict[str, Any]:
    """Return the curves of language-model training."""
    history = run.history("train_lm", stage="lm")
    charts = [_captions(history), both(history, "loss", unit="nats per code")]
    train = per_codebook(history, "train/loss_codebook_", "training, each codebook", "nats")
    val = per_codebook(history, "val/loss_codebook_", "validation, each codebook", "nats")
    last = history.last_with("val/loss")
    return about(history) | {
        "charts": [drawn for drawn in (*charts, train, val) if drawn],
        "last": last,
        "captions": history.last_with("val/loss", "val/loss_shuffled_captions"),
    }


def _captions(history: History) -> Chart | None:
    """Validation loss with the true captions, with those of other clips, and with none."""
    lines = [
        Line(name=word, x=x, y=y, color=color, marked=True, dashed=color > 0)
        for color, (name, word) in enumerate(
            (
                ("val/loss", "true captions"),
                ("val/loss_shuffled_captions", "captions of other clips"),
                ("val/loss_no_captions", "no captions"),
            )
        )
        for x, y in [history.series(name)]
        if x
    ]
    return chart("validation, by caption", lines, "nats per code")

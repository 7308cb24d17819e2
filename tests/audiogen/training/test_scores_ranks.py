"""Scores while two processes train one model: the first one scores, and nothing else changes."""

from pathlib import Path

import pytest
import torch

from audiogen.checkpoint import save_codec
from audiogen.codec.model import Codec
from evaluation.protocols.card import FOLDER

from .conftest import LM, Starter, history, run_folder

WORDS = [
    *LM,
    "trainer=ddp_cpu",
    "codec.codebook_size=16",
    "data.train.num_frames=12",
    "data.valid.num_items=4",
    "data.batch_size=2",
    "trainer.max_steps=2",
    "trainer.val_check_interval=1",
    "trainer.log_every_n_steps=1",
    "trainer.enable_progress_bar=false",
    "checkpoint_every=2",
]
SCORED = "val/frechet_logmel_standin"


@pytest.fixture
def words(tmp_path, scripts):
    """Words of a run with a codec of its codes, and a card for sounds of a quarter of a second."""
    for module in ("audiogen.training.scores", "evaluation.run", "evaluation.embedders.vggish"):
        scripts.prepare(module)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        codec = Codec(num_filters=2, dimension=4, num_codebooks=4, codebook_size=16, lstm_layers=0)
    save_codec(codec, tmp_path / "codec")
    card = (FOLDER / "demo.yaml").read_text().replace("name: demo", "name: mine")
    for old, new in (("patch: 1.0", "patch: 0.1"), ("hop: 0.5", "hop: 0.05"), ("400", "5")):
        card = card.replace(old, new)
    (tmp_path / "card.yaml").write_text(card)
    codec_words = [
        f"codec_folder={tmp_path}/codec",
        f"+data.train.codec_hash={codec.fingerprint()}",
    ]
    return [*WORDS, *codec_words, f"scores.protocol={tmp_path}/card.yaml", "scores.count=2"]


def run(scripts: Starter, folder: Path, *words: str) -> int:
    return scripts.start("train_lm.py", *words, f"paths.runs={folder}", ranks=2).wait()


def test_the_first_one_scores_and_the_losses_stay(scripts, words, tmp_path):
    assert run(scripts, tmp_path / "with", *words, "scores.every=2") == 0, scripts.log.read_text()
    assert run(scripts, tmp_path / "without", *words, "scores=null") == 0
    scored, plain = history(tmp_path / "with"), history(tmp_path / "without")
    assert [row["step"] for row in scored if row.get(SCORED)] == ["2"]
    extra = {SCORED, "val/level_difference_db"}
    assert [{k: v for k, v in row.items() if k not in extra} for row in scored] == plain
    reports = sorted(p.name for p in (run_folder(tmp_path / "with") / "scores").glob("step-*"))
    assert reports == ["step-000000002.json"]


def test_wrong_weights_stop_both_with_one_line(scripts, words, tmp_path):
    (tmp_path / "vggish-10086976.pth").write_bytes(b"<html>404</html>")
    before = len(scripts.log.read_text()) if scripts.log.exists() else 0
    more = [
        "scores.protocol=audiocraft",
        "scores.metrics=[fad_vggish]",
        f"scores.weights={tmp_path}",
    ]
    assert run(scripts, tmp_path / "runs", *words, "scores.every=2", *more) == 2
    said = scripts.log.read_text()[before:]
    assert "vggish-10086976.pth" in said
    assert "Traceback" not in said
    assert not list((tmp_path / "runs").glob("*/*/metrics.csv"))

"""The manual of the instrument: its examples run, its table is that of the cards."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from evaluation.protocols.card import load_protocol, protocol_names

FOLDER = Path(__file__).parents[2] / "evaluation"
README = (FOLDER / "README.md").read_text(encoding="utf-8")
DIRECTIONS = {
    "reference||generated": "reference to generated",
    "generated||reference": "generated to reference",
}


def rows():
    lines = [line for line in README.splitlines() if line.startswith("| `")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0].strip("`"): row[1:] for row in cells}


def test_every_card_has_a_row():
    assert sorted(rows()) == protocol_names()


@pytest.mark.parametrize("name", protocol_names())
def test_rows_say_what_the_card_does(name):
    card, (_, scores, levels, direction) = load_protocol(name), rows()[name]
    found = {o["direction"] for o in card.metrics.values() if o.get("kind") == "kl"}
    expected = "both" if len(found) == 2 else "".join(DIRECTIONS[one] for one in found)
    assert direction == expected
    kinds = {o.get("kind") for o in card.metrics.values()}
    said = {"cosine_text": "CLAP", "inception": "IS", "kl": "KL", "frechet_infinity": "FAD-inf"}
    for kind, word in said.items():
        assert (kind in kinds) == bool(re.search(rf"\b{word}\b", scores)), (kind, scores)
    loudness = [s["loudness"]["target"] for s in card.generated if "loudness" in s]
    assert (f"{loudness[0]:.0f} LUFS" if loudness else "LUFS") in levels or not loudness
    if not loudness and name != "stable_audio_metrics":
        assert levels == "as they are"
        assert not card.generated


def test_examples_run(tmp_path):
    rng = np.random.default_rng(3)
    for side in ("references", "generated"):
        (tmp_path / side).mkdir()
        for i in range(4):
            sound = rng.normal(size=16000) / 10
            soundfile.write(tmp_path / side / f"{i}.wav", sound, 16000)
    rows = "".join(f"{i}.wav,noise {i}\n" for i in range(4))
    (tmp_path / "captions.csv").write_text("name,caption\n" + rows)
    blocks = re.findall(r"^```python\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
    shapes = (
        "\nassert vggish.embed(examples).shape == (3, 128)\nassert 100 < metric.compute() < 300"
    )
    command = [sys.executable, "-c", "\n".join(blocks) + shapes]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "mine.json").read_text())["data"]["name"] == "mine"


def test_named_files_exist():
    links = re.findall(r"\]\(([^#)][^)]*)\)", README)
    assert links
    assert not [link for link in links if not (FOLDER / link).exists()]

import json

import numpy as np
import pytest
import torch

from audiogen.checkpoint import save_model
from audiogen.codec.model import Codec
from audiogen.data.shards import TokenShardWriter
from audiogen.lm.model import TokenLM
from audiogen.text.hashed import HashedEncoder
from recipes.audiogen_cpu.held_out import NONE, OWN, SHUFFLED, Clip, Costs
from recipes.audiogen_cpu.judge import gain, main, record

WORDS = {"dog": "A dog barks.", "rain": "Rain falls.", "bell": "A bell rings."}


def save(folder):
    """A model of two codebooks of 8 codes, 50 frames per second."""
    torch.manual_seed(0)
    codec = Codec(
        num_filters=2, dimension=8, lstm_layers=0, num_codebooks=2, codebook_size=8
    ).eval()
    text = HashedEncoder(dim=8, num_buckets=64, max_words=8)
    keywords = {"dim": 16, "num_layers": 1, "num_heads": 2, "delays": [0, 1]}
    lm = TokenLM(num_codebooks=2, codebook_size=8, text_dim=8, **keywords)
    save_model(folder, text=text, lm=lm, codec=codec, max_duration=0.1, card={})
    return codec.fingerprint()


def write_tokens(folder, codec_hash, number=9):
    facts = {"codec_hash": codec_hash, "manifest_hash": "m", "sample_rate": 16_000}
    facts |= {"frame_rate": 50, "num_codebooks": 2, "codebook_size": 8, "segment_frames": 5}
    codes = np.random.default_rng(0).integers(8, size=(number, 2, 5)).astype(np.uint16)
    groups = [list(WORDS)[i % len(WORDS)] for i in range(number)]
    items = [
        {"id": f"c{i}", "captions": [WORDS[g]], "frames": 5, "split": "test", "source": "esc50",
         "licence": "CC0-1.0", "labels": {"class": g}}
        for i, g in enumerate(groups)
    ]  # fmt: skip
    writer = TokenShardWriter(folder, facts=facts)
    writer.write(0, codes, items)
    writer.finish(num_shards=1)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("judged")
    write_tokens(folder / "tokens", save(folder / "model"))
    return folder


def words(folder, *more):
    named = {"--model": folder / "model", "--tokens": folder / "tokens", "--out": folder / "judged"}
    return [str(w) for pair in named.items() for w in pair] + ["--splits", "test", *more]


def costs(own, none, shuffled):
    """Costs of clips whose two codebooks cost as given."""
    clips = [Clip(id=str(i), caption="x", group="ab"[i % 2]) for i in range(len(own))]
    values = {OWN: own, NONE: none, SHUFFLED: shuffled}
    books = {name: np.array(v, dtype=float) for name, v in values.items()}
    frames = {name: np.array([[v.mean(), np.nan]] * len(own)) for name, v in books.items()}
    return Costs(clips=clips, codebooks=books, frames=frames)


def test_gains_are_paired_means_with_an_interval_over_clips():
    rng = np.random.default_rng(0)
    values = rng.normal(0.1, 0.3, 400)
    found = gain(values)
    error = values.std(ddof=1) / 20
    assert found["nats"] == pytest.approx(values.mean())
    assert found["low"] == pytest.approx(values.mean() - 1.96 * error, abs=0.1 * error)
    assert found["high"] == pytest.approx(values.mean() + 1.96 * error, abs=0.1 * error)
    assert (found["n"], found["better"]) == (400, int((values > 0).sum()))


def test_a_few_clips_have_no_interval():
    assert gain(np.array([1.0, 2.0]))["low"] is None


def test_record_takes_clips_alike_and_codebooks_alike():
    found = record(costs([[1, 3], [2, 2]], [[2, 3], [2, 4]], [[1, 1], [2, 3]]))
    assert found["nats"] == {OWN: 2.0, NONE: 2.75, SHUFFLED: 1.75}
    assert found["gains"][NONE]["nats"] == pytest.approx(0.75)
    assert found["gains"][SHUFFLED]["nats"] == pytest.approx(-0.25)
    assert [book["gains"][NONE]["nats"] for book in found["codebooks"]] == [0.5, 1.0]
    assert found["codebooks"][0]["perplexity"] == pytest.approx(np.exp(1.5))
    assert found["frames"][NONE] == [pytest.approx(0.75), None]
    assert [(g["name"], g["n"], g["gains"][NONE]) for g in found["groups"]] == [
        ("a", 1, 0.5), ("b", 1, 1.0),
    ]  # fmt: skip


def test_command_writes_once_and_again_for_other_inputs(folders, capsys):
    assert main(words(folders)) == 0
    found = json.loads((folders / "judged/test.json").read_text())
    assert (found["n"], found["codebook_size"], found["seconds"]) == (9, 8, pytest.approx(0.9))
    assert [row["n"] for row in found["groups"]] == [3, 3, 3]
    assert found["sources"] == ["esc50"]
    assert (found["clips"][1]["text"], found["clips"][1]["group"]) == ("Rain falls.", "rain")
    means = np.mean([clip["nats"][OWN] for clip in found["clips"]])
    assert means == pytest.approx(found["nats"][OWN])
    written = (folders / "judged/test.json").stat().st_mtime_ns
    assert main(words(folders)) == 0
    assert (folders / "judged/test.json").stat().st_mtime_ns == written
    assert main(words(folders, "--seed", "7")) == 0
    again = json.loads((folders / "judged/test.json").read_text())
    assert again["nats"][OWN] == found["nats"][OWN]
    assert again["nats"][SHUFFLED] != found["nats"][SHUFFLED]
    assert capsys.readouterr().out == f"{folders / 'judged/test.json'}\n" * 3


def test_codes_of_another_codec_are_refused(folders, tmp_path, capsys):
    write_tokens(tmp_path / "tokens", "0" * 64)
    other = words(folders, "--tokens", str(tmp_path / "tokens"), "--out", str(tmp_path))
    assert main(other) == 2
    assert "its codes are of codec 000000000000, the model's codec is" in capsys.readouterr().err
    assert main(words(folders, "--splits", "valid", "--out", str(tmp_path))) == 2
    assert 'no item has split "valid"' in capsys.readouterr().err


def test_differences_of_rounding_alone_have_no_interval():
    """A resampling of them has no finite ends, and JSON no word for that."""
    differences = 0.5 + np.array([0.0, 1e-16, -1e-16] * 4)
    found = gain(differences)
    assert found["low"] is found["high"] is None
    assert found["nats"] == pytest.approx(0.5)

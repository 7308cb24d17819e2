"""What generated sounds are held against: written once, and anew where it is not as it was."""

import pytest
import torch

from audiogen.training.references import References, with_captions
from audiogen.training.scores import Scores

from .test_lm_batches import data_of, make, rows_of, sounds
from .test_scores import STAND_INS, card, train

__all__ = ["card", "sounds"]  # fixtures


@pytest.mark.parametrize("kind", ["codes", "sounds"])
def test_references_are_written_and_heard_once(sounds, tmp_path, card, kind, monkeypatch):
    """Resumed with other numbers behind the decoding, the files and their features stay."""
    options = {"kind": kind, "root": tmp_path, "scores": Scores(every=2, count=3, protocol=card)}
    train(sounds, tmp_path / "run", **options)
    kept = [*tmp_path.glob("scores/reference/*.wav"), tmp_path / "scores" / "captions.csv"]
    before = {path: path.stat().st_mtime_ns for path in kept}
    assert len(before) == 4
    entries = set(tmp_path.glob("scores/features/*/*"))
    assert len(entries) == 9  # three references, and three sounds twice
    options["scores"] = Scores(every=2, count=3, protocol=card)
    monkeypatch.setattr("audiogen.training.references._sounds", None)
    train(sounds, tmp_path / "again", **options)
    assert {path: path.stat().st_mtime_ns for path in kept} == before
    assert set(tmp_path.glob("scores/features/*/*")) == entries


@pytest.mark.parametrize("kind", ["codes", "sounds"])
def test_references_that_are_not_as_they_were_written_are_written_anew(
    sounds, tmp_path, card, kind, caplog
):
    """Cut short, replaced by another, gone: the scores are those of untouched ones."""
    options = {"kind": kind, "root": tmp_path}
    first = train(sounds, tmp_path / "a", scores=Scores(every=4, count=3, protocol=card), **options)
    folder = tmp_path / "scores" / "reference"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    (folder / "00000.wav").write_bytes(before["00002.wav"])
    (folder / "00001.wav").write_bytes(before["00001.wav"][:-100])
    kept = (folder / "00002.wav").stat().st_mtime_ns
    (tmp_path / "scores" / "captions.csv").write_text("file,caption\n")
    again = train(sounds, tmp_path / "b", scores=Scores(every=4, count=3, protocol=card), **options)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert (folder / "00002.wav").stat().st_mtime_ns == kept
    assert "written anew: 00000.wav, 00001.wav" in caplog.text
    assert "rain on a roof" in (tmp_path / "scores" / "captions.csv").read_text()
    assert [rows_of(again)[3][key] for key in STAND_INS] == [
        rows_of(first)[3][key] for key in STAND_INS
    ]


def test_codes_of_another_codec_are_other_references(sounds, tmp_path):
    """It has the same codes, rates and sizes, and other weights."""
    module = make(sounds)
    data = data_of(sounds, "codes")
    data.setup("fit")
    batch = with_captions(data.first_valid(2))
    codec = module.load_codec().eval()
    References(tmp_path, batch, codec, device=torch.device("cpu"))
    first = (tmp_path / "reference" / "00000.wav").read_bytes()
    with torch.no_grad():
        for parameter in codec.decoder.parameters():
            parameter.mul_(1.1)
    References(tmp_path, batch, codec, device=torch.device("cpu"))
    assert (tmp_path / "reference" / "00000.wav").read_bytes() != first


def test_references_of_other_items_are_written_anew(sounds, tmp_path, card):
    for count in (3, 2):
        scores = Scores(every=4, count=count, protocol=card)
        train(sounds, tmp_path / f"run{count}", scores=scores, root=tmp_path)
        names = sorted(path.name for path in tmp_path.glob("scores/reference/*"))
        assert names == [f"{i:05d}.wav" for i in range(count)]

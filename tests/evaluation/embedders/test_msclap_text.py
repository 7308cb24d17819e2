"""The words of Microsoft's CLAP beside the package's own tokens, and where they are looked for."""

import json

import pytest
import torch

from evaluation.embedders.msclap_text import find_tokenizer, load_tokenizer, stand_in_tokenizer
from evaluation.embedders.weight_file import WeightsError

from .msclap_parts import captions, read_golden, write_words


@pytest.fixture(scope="module")
def golden():
    return read_golden()


@pytest.fixture
def words(golden):
    return len(json.loads(str(golden["vocab"])))


@pytest.fixture
def folder(golden, tmp_path):
    return write_words(golden, tmp_path / "gpt2")


def test_tokens_are_the_package_s(golden, folder, words):
    """Up to the 77 that it fills up, and beyond: the package never cuts a caption."""
    ids, mask = load_tokenizer(folder, words=words)(captions(golden))
    assert ids.shape == mask.shape == (5, 125)
    for i, row in enumerate(ids):
        theirs = torch.from_numpy(golden[f"ids__{i}"])
        assert torch.equal(row[: len(theirs)], theirs)
        assert not row[len(theirs) :].any()
        assert mask[i].sum() == max(theirs.count_nonzero() + (2 if i == 2 else 0), 2)
    assert (ids[2] != 0).sum() < mask[2].sum()  # two exclamation marks of its own


def test_an_exclamation_mark_is_a_word_of_its_own(folder, words):
    """It fills up short captions, so no longer word has it in it, though the merges have "!!"."""
    vocabulary = json.loads((folder / "vocab.json").read_text())
    assert vocabulary["!"] == 0
    assert "!!" in vocabulary
    ids, _ = load_tokenizer(folder, words=words)(["!!"])
    assert ids[0].tolist() == [0, 0, vocabulary["Ġ"], vocabulary["<|endoftext|>"]]


def test_words_of_a_stand_in():
    ids, mask = stand_in_tokenizer(["one Two", "", "two ONE three"])
    assert ids.shape == (3, 4)
    assert mask.tolist() == [[1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 1, 1]]
    assert ids[0, :2].tolist() == ids[2, :2].flip(0).tolist()
    assert ids[:, 0].max() == 50256  # the end, of the empty caption
    assert ids[mask.bool()].min() > 0
    assert not ids[~mask.bool()].any()


def test_the_tokenizer_has_to_be_gpt2_s(golden, folder, words, tmp_path):
    with pytest.raises(WeightsError, match=f"it has {words} words, the network 400"):
        load_tokenizer(folder, words=400)
    swapped = {"!": 1, '"': 0}
    wrong = write_words(golden, tmp_path / "wrong", **swapped)
    with pytest.raises(WeightsError, match="'!' is 1 instead of 0"):
        load_tokenizer(wrong, words=words)
    (wrong / "vocab.json").write_text("<html>")
    with pytest.raises(WeightsError, match="wrong: not GPT-2's tokenizer"):
        load_tokenizer(wrong, words=words)


def test_a_whole_vocabulary_has_to_know_two_words(golden, tmp_path, words):
    fillers = {f"<filler{i}>": i for i in range(words, 50257)}
    full = write_words(golden, tmp_path / "full", **fillers)
    with pytest.raises(WeightsError, match=r"of 'Hello world', where gpt2 makes \[15496, 995\]"):
        load_tokenizer(full, words=50257)


def test_where_the_tokenizer_is_looked_for(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("evaluation.embedders.msclap_text._cached", list)  # no hub on this machine
    assert find_tokenizer(tmp_path / "CLAP_weights_2023.pth") == folder
    assert find_tokenizer(None, folder) == folder
    with pytest.raises(
        WeightsError,
        match="Microsoft's CLAP needs the tokenizer of gpt2.*huggingface.co/openai-community/gpt2 "
        f"into {tmp_path}/empty/gpt2",
    ):
        find_tokenizer(tmp_path / "empty" / "CLAP_weights_2023.pth")
    with pytest.raises(WeightsError, match="neither in any nor in the hub's cache"):
        find_tokenizer(None)
    monkeypatch.setattr("evaluation.embedders.msclap_text._cached", lambda: [folder])
    assert find_tokenizer(None) == folder


def test_the_hub_s_cache_is_looked_into(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    snapshot = tmp_path / "models--openai-community--gpt2" / "snapshots" / ("0" * 40)
    snapshot.parent.mkdir(parents=True)
    folder.rename(snapshot)
    refs = snapshot.parents[1] / "refs"
    refs.mkdir()
    (refs / "main").write_text("0" * 40)
    assert find_tokenizer(tmp_path / "elsewhere" / "weights.pth") == snapshot

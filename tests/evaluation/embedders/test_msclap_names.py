"""Names of Microsoft's CLAP under those of transformers: nothing left over, nothing missing."""

from pathlib import Path

import pytest
import torch

from evaluation.embedders.msclap_front import mel_bank
from evaluation.embedders.msclap_names import (
    MEL_BANK,
    read_config,
    read_front_end,
    rename,
    whole_numbers,
)
from evaluation.embedders.msclap_network import PUBLISHED, MsClapTowers
from evaluation.embedders.weight_file import WeightsError

from .msclap_parts import WINDOWS, read_golden, shapes, windows

PATH = Path("weights.pth")


@pytest.fixture(scope="module")
def golden():
    return read_golden()


def test_the_published_network_is_ours_name_by_name(golden):
    """Its names and shapes are the package's; on the device meta nothing of its size is made."""
    state = {
        name: torch.empty(shape, device="meta")
        for name, shape in shapes(golden, "published").items()
    }
    for layer in range(12):
        state[f"caption_encoder.base.h.{layer}.attn.bias"] = torch.empty(1, 1, 1024, 1024)
        state[f"caption_encoder.base.h.{layer}.attn.masked_bias"] = torch.empty(())
    size = 4 * sum(tensor.numel() for tensor in state.values())
    assert round(size / 1e6) == 690  # MB, as the page of the published file says
    renamed = rename(state)
    with torch.device("meta"):
        ours, published = MsClapTowers(**read_config(renamed, PATH)), MsClapTowers(**PUBLISHED)
    for network in (ours, published):
        expected = {name: tensor.shape for name, tensor in network.state_dict().items()}
        assert {name: tensor.shape for name, tensor in renamed.items()} == expected
    for tower in ("audio_model", "text_model"):
        configs = [getattr(network, tower).config.to_dict() for network in (ours, published)]
        assert configs[0] == configs[1]
    assert ours.text_model.config.n_head == 12
    assert ours.dim == published.dim == 1024


def test_what_is_not_known_stays_and_is_refused_later():
    state = {"caption_encoder.base.lm_head": torch.zeros(1), "other": torch.zeros(1)}
    assert rename(state).keys() == {"text_model.lm_head", "other"}


def test_whole_numbers_are_whole_again():
    own = {"index": torch.zeros(3, dtype=torch.long), "weight": torch.zeros(3), "lacking": None}
    own["lacking"] = torch.zeros(1, dtype=torch.long)
    state = {"index": torch.tensor([0.0, 5, 224]), "weight": torch.ones(3)}
    found = whole_numbers(state, own)
    assert found["index"].tolist() == [0, 5, 224]
    assert found["index"].dtype == torch.long
    assert found["weight"] is state["weight"]
    assert found.keys() == state.keys()
    state["index"][0] = 0.5
    assert whole_numbers(state, own)["index"] is state["index"]  # to be refused by its kind


def test_another_network_says_what_is_lacking():
    with pytest.raises(WeightsError, match=r"weights\.pth: not the weights of Microsoft's CLAP of"):
        read_config({"module.fc1.weight": torch.zeros(2, 2)}, PATH)
    with pytest.raises(WeightsError, match="no tensor 'text_model"):
        read_config({"text_model.wte.weight": torch.zeros(2, 2)}, PATH)


def test_the_filters_are_the_file_s_own():
    bank = mel_bank().float() * 2
    found = read_front_end({MEL_BANK: bank}, PATH)
    assert torch.equal(found, bank.double())
    assert torch.equal(read_front_end({}, PATH), mel_bank())


def test_another_front_end_is_refused():
    right = {f"{WINDOWS}{part}.weight": windows(part) for part in ("real", "imag")}
    assert torch.equal(read_front_end(right, PATH), mel_bank())
    flat = torch.ones(513, 1, 1024)
    for wrong in (
        {MEL_BANK: torch.zeros(513, 80)},
        {MEL_BANK: mel_bank() * float("nan")},
        {f"{WINDOWS}real.weight": flat},
        {f"{WINDOWS}imag.weight": windows("real")},
        {f"{WINDOWS}real.weight": windows("real")[:, :, :512]},
    ):
        with pytest.raises(WeightsError, match="another front end than 64 mel bands of Hann"):
            read_front_end(right | wrong, PATH)

"""Captions as the reference's conditioner sees them: tokens, masks, states, guidance, padding."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from audiogen.lm.model import TokenLM
from audiogen.pipeline import AudioGen
from audiogen.text.cached import with_cache
from audiogen.text.t5 import T5Encoder

GOLDEN = Path(__file__).parents[2] / "golden" / "text.npz"  # written by golden/make_text.py
CLOSE = {"rtol": 1e-4, "atol": 1e-5}


@pytest.fixture(scope="module")
def golden():
    return dict(np.load(GOLDEN))


@pytest.fixture(scope="module")
def texts(golden):
    return json.loads(str(golden["texts_json"]))


@pytest.fixture(scope="module")
def encoder(t5_folder):
    return T5Encoder(name=str(t5_folder), max_tokens=None)


@pytest.fixture
def conditioned(model, encoder, golden):
    """A model with the reference's projection of texts; the rest of it does not matter here."""
    lm = TokenLM(**{**model.lm.config, "text_dim": 32, "dim": 64})
    lm.text_projection.load_state_dict(
        {part: torch.from_numpy(golden[f"projection_{part}"]) for part in ("weight", "bias")}
    )
    return AudioGen(text=encoder, lm=lm, codec=model.codec, max_duration=0.1)


def test_tokens_and_masks(encoder, golden, texts):
    ids, mask = encoder.tokenize(texts)
    assert np.array_equal(ids, golden["input_ids"])
    assert np.array_equal(mask, golden["attention_mask"].astype(bool))
    ids, mask = encoder.tokenize([*texts, *[""] * len(texts)])  # as guidance asks for them
    assert np.array_equal(ids, golden["cfg_input_ids"])
    assert np.array_equal(mask, golden["cfg_attention_mask"].astype(bool))


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_states_of_t5(encoder, golden, texts, attention):
    """On both of its attention backends, of which one gives NaN for a row without any text."""
    encoder.network.set_attn_implementation(attention)
    states, mask = encoder.encode(texts)
    expected = torch.from_numpy(golden["t5_hidden"])
    torch.testing.assert_close(states[mask], expected[mask], **CLOSE)
    assert (states[~mask] == 0).all()
    encoder.network.set_attn_implementation("sdpa")


@pytest.mark.parametrize(
    ("repeats", "prefix"), [(0, "cond"), (1, "cfg_cond")], ids=["captions", "with guidance's half"]
)
def test_conditions_in_batch_padding(conditioned, golden, texts, repeats, prefix):
    captions = [*texts, *[None] * len(texts) * repeats]
    states, mask = conditioned.condition(captions, padding="batch")
    assert mask.all()  # the padding is attended to
    torch.testing.assert_close(states, torch.from_numpy(golden[f"{prefix}_emb"]), **CLOSE)
    own = torch.from_numpy(golden[f"{prefix}_mask"]).bool()
    assert (states[~own] == 0).all()


def test_conditions_in_own_padding(conditioned, golden, texts):
    states, mask = conditioned.condition(texts, padding="own")
    assert np.array_equal(mask, golden["cond_mask"].astype(bool))
    torch.testing.assert_close(states, torch.from_numpy(golden["cond_emb"]), **CLOSE)
    for item, text in enumerate(texts):  # alone, a caption is what it is in the batch
        alone, of_alone = conditioned.condition([text])
        torch.testing.assert_close(alone[of_alone], states[item][mask[item]], **CLOSE)


@pytest.mark.parametrize("nothing", ["", None])
def test_no_caption_is_the_zero_condition(conditioned, golden, nothing):
    states, mask = conditioned.condition([nothing] * 4, padding="batch")
    assert np.array_equal(states, golden["null_cond_emb"])
    assert not golden["null_cond_emb"].any()
    assert states.shape == (4, 1, 64)
    assert not conditioned.condition([nothing] * 4)[1].any()
    assert mask.all()


def test_states_from_the_cache_are_as_close(encoder, golden, texts, tmp_path):
    cached = with_cache(encoder, cache=tmp_path)
    expected = torch.from_numpy(golden["t5_hidden"])
    for _ in range(2):  # computed, then read
        states, mask = cached.encode(texts)
        assert np.array_equal(mask, golden["cond_mask"].astype(bool))
        torch.testing.assert_close(states[mask], expected[mask], **CLOSE)

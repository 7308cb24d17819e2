"""The reference's own whole models, where they lie beside this checkout: sound, and both ways."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from audiogen.checkpoint import load_model
from audiogen.pipeline import AudioGen
from audiogen.released import export_released, load_language_model, load_released

REFERENCE = Path(__file__).parents[4] / "shared" / "fixtures" / "audiocraft"
TINY, ALT = REFERENCE / "audiogen_tiny", REFERENCE / "lm_alt"
pytestmark = pytest.mark.skipif(
    not REFERENCE.is_dir(), reason="the reference's files are not beside this checkout (../shared)"
)
GREEDY = {"greedy": True, "padding": "batch", "guidance_scale": 3.0, "duration": 2.0}


@pytest.fixture(scope="module")
def arrays():
    return np.load(REFERENCE / "pipeline.npz")


@pytest.fixture(scope="module")
def parts():
    return load_model(TINY)


@pytest.fixture
def model(parts):
    return AudioGen(text=parts.text, lm=parts.lm, codec=parts.codec, max_duration=10.0)


def texts(arrays):
    return json.loads(str(arrays["texts_json"]))


def assert_sound(found, expected):
    torch.testing.assert_close(found, torch.from_numpy(expected), rtol=1e-3, atol=1e-4)


def test_sound(model, arrays):
    assert_sound(model.generate(texts(arrays), **GREEDY)[:1], arrays["generate2s_audio"])


def test_continuation_of_sound(model, arrays):
    prompt = torch.from_numpy(arrays["prompt16"])
    codes = model.encode(prompt, 16000)
    assert np.array_equal(codes, arrays["cont16_prompt_tokens"])
    found = model.generate_continuation(prompt, 16000, texts(arrays), **GREEDY)
    assert_sound(found[:1], arrays["cont16_audio"])


def test_continuation_of_a_stereo_sound_at_another_rate(model, arrays):
    codes = model.encode(torch.from_numpy(arrays["prompt24_stereo"]), 24000)
    found = model.generate_codes(texts(arrays)[:1], prompt_codes=codes, **GREEDY)
    assert np.array_equal(found, arrays["cont24_tokens"])


def test_sound_in_windows(model, arrays):
    duration, stride, model.max_duration = arrays["extend0_params"].tolist()
    model.set_generation_params(use_sampling=False, duration=duration, extend_stride=stride)
    assert_sound(model.generate(texts(arrays)[:1], padding="batch"), arrays["extend0_audio"])


@pytest.mark.parametrize("folder", [TINY, ALT], ids=["audiogen_tiny", "lm_alt"])
def test_what_is_written_again(folder, tmp_path):
    parts = load_released(folder, text_encoder=TINY / "t5_tiny", codec=TINY)
    again = export_released(parts, tmp_path / "again")
    old, new = (
        torch.load(f / "state_dict.bin", weights_only=True)["best_state"] for f in (folder, again)
    )
    assert [name.replace(".mha.", ".") for name in old] == list(new)
    assert all(torch.equal(new[k.replace(".mha.", ".")], v) for k, v in old.items())
    assert load_language_model(again).config == parts.lm.config

import copy
import json
import logging

import pytest
import torch
import torch.nn.functional as F

from audiogen.text import TextEncoder, build_text_encoder
from audiogen.text.cached import with_cache
from audiogen.text.clap import ClapEncoder
from audiogen.text.folders import TextEncoderError

CAPTIONS = ["a dog barks twice", None, "rain on a tin roof", ""]


@pytest.fixture(scope="module")
def encoder(clap_folder):
    return ClapEncoder(name=str(clap_folder))


def test_one_state_of_length_one_per_caption(encoder):
    states, mask = encoder.encode(CAPTIONS)
    assert isinstance(encoder, TextEncoder)
    assert (states.shape, states.dtype, encoder.dim) == ((4, 1, 8), torch.float32, 8)
    assert mask.tolist() == [[True], [False], [True], [False]]
    torch.testing.assert_close(states.norm(dim=-1), mask.float())
    assert (states[0] - states[2]).norm() > 0.1


def test_states_are_those_of_the_bare_network(encoder):
    """A caption in a padded batch gets what the network makes of its own tokens."""
    states, _ = encoder.encode(["rain", "a dog barks twice on a tin roof"])
    ids = torch.tensor([encoder.tokenizer("rain").input_ids])
    with torch.no_grad():
        expected = F.normalize(encoder.network(input_ids=ids).text_embeds, dim=-1)
    torch.testing.assert_close(states[0], expected)


def test_reads_the_text_half_of_a_whole_clap(encoder, clap_folder, tmp_path):
    """As published: both halves in one file, the width in the outer configuration."""
    import transformers

    text = json.loads((clap_folder / "config.json").read_text())
    sound = {
        "hidden_size": 32,
        "patch_embeds_hidden_size": 4,
        "depths": [1, 1, 1, 1],
        "num_attention_heads": [1, 1, 1, 1],
        "spec_size": 256,
    }
    config = transformers.ClapConfig(text_config=text, audio_config=sound, projection_dim=8)
    whole = transformers.ClapModel(config).eval()
    whole.text_model.load_state_dict(encoder.network.text_model.state_dict())
    whole.text_projection.load_state_dict(encoder.network.text_projection.state_dict())
    whole.save_pretrained(tmp_path)
    encoder.tokenizer.save_pretrained(tmp_path)
    found = ClapEncoder(name=str(tmp_path), dim=8, lazy=True)
    assert (found.dim, found.is_loaded) == (8, False)
    torch.testing.assert_close(found.encode(CAPTIONS)[0], encoder.encode(CAPTIONS)[0])


def test_is_frozen_and_stays_in_float32(encoder, clap_folder):
    assert not encoder.trainable
    assert not list(encoder.parameters())
    assert not encoder.state_dict()
    moved = ClapEncoder(name=str(clap_folder)).to(torch.bfloat16).train()
    assert not moved.network.training
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(moved.encode(CAPTIONS)[0], encoder.encode(CAPTIONS)[0])


def test_a_long_caption_is_read_up_to_its_limit(clap_folder):
    encoder = ClapEncoder(name=str(clap_folder), max_tokens=6)
    begin, end = encoder.tokenizer("").input_ids
    words = encoder.tokenizer("rain on a tin roof").input_ids[1:-1]
    assert len(words) > 4
    ids = torch.tensor([[begin, *words[:4], end]])
    with torch.no_grad():
        expected = F.normalize(encoder.network(input_ids=ids).text_embeds, dim=-1)
    for caption in ("rain on a tin roof", "rain on a tin roof" + " rain" * 20_000):
        torch.testing.assert_close(encoder.encode([caption])[0][0], expected)


def test_strange_text(encoder):
    states, mask = encoder.encode(["\ud800", "🐕", "\x00", " \n\t", "\ud800 🐕"])
    assert states.isfinite().all()
    assert mask.flatten().tolist() == [True, True, True, False, True]
    with pytest.raises(ValueError, match="caption 1 must be a string or None, got int"):
        encoder.encode(["rain", 7])


def test_is_rebuilt_copied_and_cached(encoder, tmp_path):
    again = build_text_encoder(json.loads(json.dumps(encoder.config)))
    assert isinstance(again, ClapEncoder)
    cached = with_cache(again, cache=tmp_path)
    expected = torch.cat([encoder.encode([caption])[0] for caption in CAPTIONS])
    for other in (cached, cached, copy.deepcopy(encoder)):
        torch.testing.assert_close(other.encode(CAPTIONS)[0], expected)
    lower = ClapEncoder(name=encoder.name, lowercase=True)
    assert torch.equal(lower.encode(["A Dog"])[0], encoder.encode(["a dog"])[0])


def test_one_that_hears_no_difference_is_warned_of(encoder, clap_folder, tmp_path, caplog):
    same = copy.deepcopy(encoder.network)
    for parameter in same.text_projection.linear1.parameters():
        parameter.data.zero_()
    same.text_projection.linear2.bias.data.fill_(1.0)
    same.save_pretrained(tmp_path)
    encoder.tokenizer.save_pretrained(tmp_path)
    with caplog.at_level(logging.WARNING):
        ClapEncoder(name=str(tmp_path))
    assert "cosine of 1.0000: it hardly tells captions apart" in caplog.text
    caplog.clear()
    ClapEncoder(name=str(clap_folder))
    assert not caplog.records


def test_refuses(clap_folder, t5_folder, tmp_path):
    with pytest.raises(ValueError, match="gives states of width 8, asked for is 512"):
        ClapEncoder(name=str(clap_folder), dim=512, lazy=True)
    with pytest.raises(ValueError, match="room for a word and two ends, got 2"):
        ClapEncoder(name=str(clap_folder), max_tokens=2)
    with pytest.raises(TextEncoderError, match=r"such as laion/clap-htsat-unfused"):
        ClapEncoder(name=str(tmp_path / "nowhere"))
    with pytest.raises(TextEncoderError, match=r"no CLAP text encoder can be read from .*t5_tiny"):
        ClapEncoder(name=str(t5_folder))

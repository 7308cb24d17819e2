import copy
import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch

from audiogen.text import TextEncoder, build_text_encoder
from audiogen.text.t5 import T5Encoder, TextEncoderError

FIXTURES = Path(__file__).parents[4] / "shared" / "fixtures" / "audiocraft"
WORDS = ["a", "dog", "barks", "rain", "on", "the", "roof", "twice", "ID"]


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A random T5 encoder of 16 units and a tokenizer of nine words, as transformers saves them."""
    import transformers

    path = tmp_path_factory.mktemp("t5")
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -10.0)]
    pieces += [(f"▁{word}", -1.0) for word in WORDS]
    transformers.T5Tokenizer(vocab=pieces, extra_ids=0).save_pretrained(path)
    config = transformers.T5Config(
        vocab_size=len(pieces), d_model=16, d_kv=4, d_ff=32, num_layers=2, num_heads=4
    )
    torch.manual_seed(0)
    transformers.T5EncoderModel(config).save_pretrained(path)
    return path


@pytest.fixture(scope="session")
def encoder(folder):
    return T5Encoder(name=str(folder))


def test_pads_on_the_right_behind_the_end_of_sentence(encoder):
    ids, mask = encoder.tokenize(["a dog barks", "", "rain"])
    assert ids.tolist() == [[3, 4, 5, 1], [1, 0, 0, 0], [6, 1, 0, 0]]
    assert mask.sum(dim=1).tolist() == [4, 0, 2]


def test_states_and_masks(encoder):
    states, mask = encoder.encode(["a dog barks", None, "", "rain"])
    assert states.shape == (4, 4, 16)
    assert states.dtype == torch.float32
    assert encoder.dim == 16
    assert mask.sum(dim=1).tolist() == [4, 0, 0, 2]
    assert (states[~mask] == 0).all()
    assert states.isfinite().all()
    assert isinstance(encoder, TextEncoder)


def test_only_empty_captions_still_have_a_position(encoder):
    states, mask = encoder.encode([None, ""])
    assert states.shape == (2, 1, 16)
    assert not mask.any()


def test_states_are_those_of_the_network_alone(encoder):
    """A caption in a batch gets what the bare network makes of its ids without padding."""
    states, _ = encoder.encode(["rain on the roof", "a dog"])
    with torch.no_grad():
        expected = encoder.network(input_ids=torch.tensor([[3, 4, 1]])).last_hidden_state
    torch.testing.assert_close(states[1, :3], expected[0], rtol=1e-4, atol=1e-5)


def test_is_frozen_and_outside_the_state(encoder):
    assert not encoder.trainable
    assert not list(encoder.parameters())
    assert not encoder.state_dict()
    assert not any(p.requires_grad for p in encoder.network.parameters())
    encoder.train()
    assert not encoder.network.training
    assert not encoder.encode(["a dog"])[0].requires_grad


def test_moves_but_stays_in_float32(folder):
    encoder = T5Encoder(name=str(folder))
    inside = torch.nn.ModuleDict({"text": encoder})
    inside.to(torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        states, _ = encoder.encode(["a dog"])
    assert states.dtype == torch.float32
    inside.to("meta")
    assert {p.device.type for p in encoder.network.parameters()} == {"meta"}
    assert {p.dtype for p in encoder.network.parameters()} == {torch.float32}


def test_case_is_kept_unless_asked(folder, encoder):
    assert encoder.tokenize(["ID"])[0].tolist() == [[WORDS.index("ID") + 3, 1]]
    lower = T5Encoder(name=str(folder), lowercase=True)
    assert torch.equal(lower.encode(["A Dog"])[0], encoder.encode(["a dog"])[0])
    assert not torch.equal(encoder.encode(["A Dog"])[0], encoder.encode(["a dog"])[0])


def test_a_caption_behind_the_limit_is_cut_and_logged(folder, caplog):
    encoder = T5Encoder(name=str(folder), max_tokens=4)
    with caplog.at_level(logging.WARNING):
        ids, mask = encoder.tokenize(["rain", "rain on the roof twice", "a dog barks"])
    assert ids.tolist() == [[6, 1, 0, 0], [6, 7, 8, 1], [3, 4, 5, 1]]
    assert mask.sum(dim=1).tolist() == [2, 4, 4]
    assert [record.getMessage() for record in caplog.records] == [
        "caption 1 has 6 tokens, only the first 4 are read"
    ]


def test_hundreds_of_tokens_are_not_cut(encoder):
    ids, _ = encoder.tokenize(["rain " * 500])
    assert ids.shape == (1, 501)


def test_config_rebuilds_the_encoder(encoder):
    again = build_text_encoder(json.loads(json.dumps(encoder.config)))
    assert isinstance(again, T5Encoder)
    assert torch.equal(again.encode(["a dog"])[0], encoder.encode(["a dog"])[0])
    assert torch.equal(copy.deepcopy(encoder).encode(["a dog"])[0], encoder.encode(["a dog"])[0])


def test_strange_text(encoder):
    states, _ = encoder.encode(["\ud800", "🐕", "\x00", " "])
    assert states.isfinite().all()
    with pytest.raises(ValueError, match="caption 1 must be a string or None, got int"):
        encoder.encode(["rain", 7])
    with pytest.raises(ValueError, match="room for a word and </s>, got 1"):
        T5Encoder(name="t5-large", max_tokens=1)


def test_missing_weights_say_what_where_and_what_to_do(tmp_path, folder):
    with pytest.raises(TextEncoderError, match=r"there is no such folder\. Give a folder"):
        T5Encoder(name=str(tmp_path / "nowhere"))
    with pytest.raises(TextEncoderError, match=r"from .*Expected what save_pretrained writes"):
        T5Encoder(name=str(tmp_path))
    with pytest.raises(TextEncoderError, match=r"'t5-none'.*hub did not deliver.*give the folder"):
        T5Encoder(name="t5-none")
    for file in folder.iterdir():
        if file.suffix != ".safetensors":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(TextEncoderError, match=r"model\.safetensors"):
        T5Encoder(name=str(tmp_path))


@pytest.mark.skipif(not FIXTURES.is_dir(), reason="needs the reference's T5 beside the checkout")
def test_matches_the_reference():
    arrays = np.load(FIXTURES / "lm.npz")
    encoder = T5Encoder(name=str(FIXTURES / "audiogen_tiny" / "t5_tiny"))
    texts = json.loads(str(arrays["texts_json"]))
    assert np.array_equal(encoder.tokenize(texts)[0], arrays["input_ids"])
    states, mask = encoder.encode(texts)
    assert np.array_equal(mask, arrays["cond_mask"].astype(bool))
    expected = torch.from_numpy(arrays["t5_hidden"])
    torch.testing.assert_close(states[mask], expected[mask], rtol=1e-4, atol=1e-5)


@pytest.mark.gpu
def test_moves_to_a_gpu(t5_folder):
    encoder = T5Encoder(name=str(t5_folder), lazy=True).to("cuda")
    states, mask = encoder.encode(["rain on a roof", None])
    assert states.device.type == mask.device.type == "cuda"
    expected = T5Encoder(name=str(t5_folder)).encode(["rain on a roof", None])[0]
    torch.testing.assert_close(states.cpu(), expected, rtol=1e-4, atol=1e-5)

import copy
import pickle
import shutil

import pytest
import torch

from audiogen.lm.model import TokenLM
from audiogen.pipeline import AudioGen
from audiogen.text import TextEncoder, build_text_encoder
from audiogen.text.cached import with_cache
from audiogen.text.hashed import HashedEncoder
from audiogen.text.joined import JoinedEncoder
from audiogen.text.t5 import T5Encoder


@pytest.fixture
def joined():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        parts = {
            name: HashedEncoder(dim=8, num_buckets=64, max_words=4)
            for name in ("description", "sound_class")
        }
    return JoinedEncoder(encoders=parts)


@pytest.fixture
def with_t5(t5_folder):
    t5 = T5Encoder(name=str(t5_folder), dim=32)
    return JoinedEncoder(encoders={"description": t5, "sound_class": HashedEncoder(dim=32)})


def test_states_of_all_attributes_stand_one_behind_the_other(joined):
    captions = [{"description": "a dog barks", "sound_class": "animal"}, "rain", None, {}]
    captions += [{"sound_class": "weather sound"}]
    states, mask = joined.encode(captions)
    assert isinstance(joined, TextEncoder)
    assert (states.shape, joined.dim) == ((5, 3 + 2, 8), 8)
    first, of_first = joined.encoders["description"].encode(
        ["a dog barks", "rain", None, None, None]
    )
    second, of_second = joined.encoders["sound_class"].encode(
        ["animal", None, None, None, "weather sound"]
    )
    assert torch.equal(states, torch.cat([first, second], dim=1))
    assert torch.equal(mask, torch.cat([of_first, of_second], dim=1))
    assert mask.sum(dim=1).tolist() == [4, 1, 0, 0, 2]


def test_an_attribute_that_is_left_out_does_not_matter(joined):
    one, _ = joined.encode([{"description": "rain"}])
    for same in ("rain", {"description": "rain", "sound_class": None}, {"description": "rain"}):
        assert torch.equal(joined.encode([same])[0], one)


def test_refuses_an_attribute_that_has_no_encoder(joined):
    with pytest.raises(ValueError, match=r"caption 1 has 'place'.*'description' or 'sound_class'"):
        joined.encode(["rain", {"place": "indoors"}])
    only = JoinedEncoder(encoders={"sound_class": HashedEncoder(dim=8)})
    with pytest.raises(ValueError, match=r"give 'sound_class'; a string is its 'description'"):
        only.encode(["rain"])


def test_refuses_encoders_that_do_not_go_together(joined):
    with pytest.raises(ValueError, match="at least one attribute"):
        JoinedEncoder(encoders={})
    with pytest.raises(ValueError, match=r"one dim, got a 8, b 9"):
        JoinedEncoder(encoders={"a": HashedEncoder(dim=8), "b": HashedEncoder(dim=9)})


def test_learns_what_learns_and_nothing_else(with_t5):
    assert with_t5.trainable
    assert {name.split(".")[1] for name in with_t5.state_dict()} == {"1"}  # the hashed words
    states, mask = with_t5.encode([{"description": "a dog", "sound_class": "animal"}])
    states[mask].square().sum().backward()
    assert all(parameter.grad is not None for parameter in with_t5.parameters())


def test_is_rebuilt_copied_and_sent(with_t5):
    caption = {"description": "a dog", "sound_class": "animal"}
    again = build_text_encoder(with_t5.config)
    again.load_state_dict(with_t5.state_dict(), strict=True)
    for other in (again, copy.deepcopy(with_t5), pickle.loads(pickle.dumps(with_t5))):
        assert torch.equal(other.encode([caption])[0], with_t5.encode([caption])[0])
        assert other.config == with_t5.config


@pytest.fixture
def joined_model(model, joined):
    return AudioGen(text=joined, lm=model.lm, codec=model.codec, max_duration=0.1)


def test_a_model_is_prompted_by_attributes(joined_model, tmp_path):
    call = {"duration": 0.06, "seed": 1, "greedy": True, "guidance_scale": 1.0}
    captions = [{"description": "a dog", "sound_class": "animal"}, "a dog", None]
    codes = joined_model.generate_codes(captions, **call)
    assert len({tuple(row.flatten().tolist()) for row in codes}) == 3
    for item, caption in enumerate(captions):  # a batch does not change an item
        assert torch.equal(joined_model.generate_codes([caption], **call)[0], codes[item])
    assert joined_model.generate(captions, **call).isfinite().all()
    loaded = AudioGen.from_pretrained(joined_model.save_pretrained(tmp_path / "m"))
    assert torch.equal(loaded.generate_codes(captions, **call), codes)
    assert (tmp_path / "m" / "text.safetensors").is_file()
    assert "joined" in (tmp_path / "m" / "README.md").read_text()


def test_an_outside_encoder_inside_is_named_and_can_be_moved(model, with_t5, t5_folder, tmp_path):
    lm = TokenLM(**{**model.lm.config, "text_dim": 32})
    text = JoinedEncoder(
        encoders={
            "description": with_cache(with_t5.encoders["description"], cache=tmp_path / "states"),
            "sound_class": with_t5.encoders["sound_class"],
        }
    )
    model = AudioGen(text=text, lm=lm, codec=model.codec, max_duration=0.1)
    caption = {"description": "a dog", "sound_class": "animal"}
    folder = model.save_pretrained(tmp_path / "m")
    loaded = AudioGen.from_pretrained(folder)
    assert loaded.text.encoders["description"].config["name"] == str(t5_folder)
    torch.testing.assert_close(loaded.condition([caption]), model.condition([caption]))

    shutil.copytree(t5_folder, folder / "inside")
    moved = AudioGen.from_pretrained(folder, text_encoder="inside")
    assert moved.text.encoders["description"].name == str(folder / "inside")
    assert moved.text.config == text.config  # saved again, it names what it named
    torch.testing.assert_close(moved.condition([caption]), model.condition([caption]))

"""Exports for transformers: its MusicGen gives our codes and our sound, where nothing is ours."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from audiogen.codec.model import Codec
from audiogen.lm.model import TokenLM
from audiogen.model_folder.layout import CheckpointError
from audiogen.pipeline import AudioGen
from audiogen.released import export_transformers
from audiogen.released.musicgen_config import NotHeldError
from audiogen.text.t5 import T5Encoder

SCRIPT = Path(__file__).with_name("transformers_only.py")
CAPTIONS = ["A dog BARKS twice", "rain", "wind blows on a tin roof, and a long way off a dog barks"]
CODEC = {
    "num_filters": 2,
    "dimension": 8,
    "ratios": (4, 4, 2),
    "lstm_layers": 1,
    "codebook_size": 16,
    "init": "scaled",
}
LM = {"codebook_size": 16, "text_dim": 32, "num_layers": 2, "num_heads": 2, "dim": 16}


def draw(text, *, seed=0, codec=(), lm=(), **options):
    """Build a model with no weight at its first value, whose codes vary."""
    codec, lm = {**CODEC, "num_codebooks": 3, **dict(codec)}, {**LM, "num_codebooks": 3, **dict(lm)}
    lm.setdefault("delays", None if "pattern" in lm else list(range(lm["num_codebooks"])))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        parts = {"codec": Codec(**codec), "lm": TokenLM(**lm)}
        with torch.no_grad():
            for weight in parts["lm"].parameters():
                weight.add_(0.2 * torch.randn_like(weight))
            for weight in parts["codec"].parameters():
                weight.add_(0.02 * torch.randn_like(weight))
            for book in parts["codec"].quantizer.codebooks:
                book.embed.normal_(std=0.3)
    return AudioGen(text=text, **parts, **{"max_duration": 3.0, **options})


@pytest.fixture(scope="module")
def t5(t5_folder):
    return T5Encoder(name=str(t5_folder))


def odd_t5(folder, path):
    """A T5 of another size, whose MLP is gated, with the tokenizer of the small one."""
    import transformers

    config = transformers.T5Config(
        vocab_size=328,
        d_model=20,
        d_kv=4,
        d_ff=24,
        num_layers=3,
        num_heads=3,
        feed_forward_proj="gated-gelu",
        initializer_factor=3.0,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        transformers.T5EncoderModel(config).save_pretrained(path)
    transformers.AutoTokenizer.from_pretrained(folder).save_pretrained(path)
    return path


def cases(t5, t5_folder, tmp_path):
    """Models with what ours may differ in, and what is asked of each; two seconds of the first."""
    lowered = T5Encoder(name=str(t5_folder), lowercase=True)
    other = T5Encoder(name=str(odd_t5(t5_folder, tmp_path / "t5")))
    few = {"num_codebooks": 4, "codebook_size": 32}
    slow = {"ratios": (8, 5, 4, 2)}
    yield draw(lowered, codec=slow), CAPTIONS, 100, 3.0
    wide = {"dim": 36, "num_heads": 3, "num_layers": 3, "hidden_scale": 2.5, "activation": "silu"}
    yield draw(t5, seed=1, codec=few | {"pad_mode": "reflect"}, lm=few | wide), CAPTIONS, 40, 3.0
    stereo = {"channels": 2, "causal": True, "true_skip": False, "lstm_layers": 2}
    yield (
        draw(other, seed=2, codec=stereo, lm={"text_dim": 20, "activation": "relu"}),
        [CAPTIONS[2], "a", CAPTIONS[0], CAPTIONS[1]],
        37,
        2.0,
    )
    more = {"num_codebooks": 5, "norm": "time_group_norm", "ratios": (5, 3), "num_filters": 3}
    yield draw(t5, seed=3, codec=more, lm={"num_codebooks": 2}), CAPTIONS[:1], 33, 1.0
    yield draw(t5, seed=4, codec={"num_codebooks": 1}, lm={"num_codebooks": 1}), None, 21, 1.0
    yield without_projection(draw(t5, seed=5, lm={"dim": 32})), CAPTIONS, 9, 3.0


def without_projection(model):
    """Let the projection of text, which transformers leaves out at equal widths, do nothing."""
    with torch.no_grad():
        model.lm.text_projection.weight.copy_(torch.eye(32))
        model.lm.text_projection.bias.zero_()
    return model


def start(requests, folder):
    """Run `transformers_only` where only transformers is; return its arrays."""
    request, result = folder / "request.json", folder / "result.npz"
    request.write_text(json.dumps(requests))
    command = [sys.executable, "-I", str(SCRIPT), str(result), str(request)]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return np.load(result)


def test_transformers_alone_gives_our_codes_and_our_sound(t5, t5_folder, tmp_path):
    """Greedy, in batches of captions of different lengths, which are padded there."""
    requests, wanted = [], []
    for index, (model, captions, frames, scale) in enumerate(cases(t5, t5_folder, tmp_path)):
        folder = export_transformers(model, tmp_path / str(index))
        sound, codes = model.generate(
            captions or [None],
            duration=frames / model.frame_rate,
            greedy=True,
            guidance_scale=scale,
            return_tokens=True,
        )
        request = {"captions": captions, "frames": frames, "guidance": scale}
        requests.append({"folder": str(folder), **request})
        wanted.append((codes.numpy(), sound.numpy()))
    found = start(requests, tmp_path)
    for index, (codes, sound) in enumerate(wanted):
        assert len({row.tobytes() for row in codes}) == len(codes)  # captions are told apart
        np.testing.assert_array_equal(found[f"codes_{index}"], codes)
        np.testing.assert_allclose(found[f"sound_{index}"], sound, atol=1e-5)


def test_padding_there_is_own_padding_here(t5, tmp_path):
    """What the reference does, attending to the padding, gives other codes in a mixed batch."""
    model = draw(t5)
    options = {"duration": 0.05, "greedy": True}
    own, batch = (
        model.generate_codes(CAPTIONS, padding=padding, **options) for padding in ("own", "batch")
    )
    assert not torch.equal(own, batch)


def test_what_is_written_says_how_to_generate(t5, tmp_path):
    folder = export_transformers(
        draw(t5, max_duration=0.5), tmp_path / "out", card={"licence": "CC-BY-NC-4.0"}
    )
    steps = json.loads((folder / "generation_config.json").read_text())
    wanted = {"guidance_scale": 3.0, "do_sample": True, "top_k": 16, "max_length": 253}
    tokens = dict.fromkeys(("pad_token_id", "bos_token_id", "decoder_start_token_id"), 16)
    assert wanted.items() | tokens.items() <= steps.items()
    text = (folder / "README.md").read_text()
    assert text.startswith("---\nlicense: cc-by-nc-4.0\npipeline_tag: text-to-audio\n")
    assert "library_name: transformers" in text
    assert str(tmp_path) not in "".join(f.read_text() for f in folder.glob("*.json"))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_stored_and_widened(t5, tmp_path, dtype):
    """As config.json says; the codes are those of the rounded weights."""
    import transformers
    from safetensors.torch import load_file

    model = draw(t5)
    folder = export_transformers(model, tmp_path / "out", dtype=dtype)
    stored = load_file(folder / "model.safetensors")
    assert {v.dtype for k, v in stored.items() if k.startswith("decoder.")} == {dtype}
    others = {v.dtype for k, v in stored.items() if k.startswith(("text", "audio"))}
    assert others == {torch.float32}
    there = transformers.MusicgenForConditionalGeneration.from_pretrained(folder)
    assert {weight.dtype for weight in there.parameters()} == {torch.float32}
    head = model.lm.head.weight[:16].to(dtype).float()
    assert torch.equal(there.decoder.lm_heads[0].weight, head)


def test_weights_that_do_not_fit_half_precision(t5, tmp_path):
    model = draw(t5)
    with torch.no_grad():
        model.lm.head.weight[3] = 1e6
    with pytest.raises(ValueError, match=r"lm_heads\.0\.weight is not finite in torch.float16"):
        export_transformers(model, tmp_path / "out", dtype=torch.float16)
    assert not (tmp_path / "out").exists()


REFUSED = [
    ({"lm": {"norm_first": False}}, r"norm_first False \(it has True\)"),
    ({"lm": {"bias_attn": True}}, r"bias_attn True \(it has False\)"),
    ({"lm": {"bias_ff": True, "bias_proj": True}}, r"bias_ff True .*; bias_proj True"),
    ({"lm": {"layer_scale": 0.1}}, r"layer_scale 0\.1 \(it has None\)"),
    ({"lm": {"position_scale": 0.5}}, r"position_scale 0\.5 \(it has 1\.0\)"),
    ({"lm": {"max_period": 500.0}}, r"max_period 500\.0"),
    ({"lm": {"delays": [0, 0, 1]}}, r"delays \[0, 0, 1\] \(it has delays \[0, 1, 2\]\)"),
    ({"lm": {"pattern": {"name": "parallel"}}}, r"pattern .*parallel.* \(it has delays"),
    ({"lm": {"pattern": {"name": "delay", "empty_initial": 1}}}, "pattern .*'empty_initial': 1"),
    ({"lm": {"dim": 32}}, "text_projection with text_dim 32 equal to dim"),
    ({"codec": {"lstm_layers": 0}}, "codec lstm_layers 0"),
    ({"codec": {"norm": "none"}}, "codec norm 'none'"),
    ({"codec": {"activation": "relu"}}, "codec activation 'relu'"),
    ({"codec": {"activation_params": {"alpha": 0.5}}}, r"codec activation_params .*0\.5"),
    ({"codec": {"final_activation": "tanh"}}, "codec final_activation 'tanh'"),
    ({"codec": {"disable_norm_outer_blocks": 1}}, "codec disable_norm_outer_blocks 1"),
    ({"codec": {"decoder_overrides": {"compress": 1}}}, "compress 2 in the encoder and 1 in the"),
    (
        {"codec": {"codebook_size": 12}, "lm": {"codebook_size": 12}},
        "codec codebook_size 12",
    ),
]


@pytest.mark.parametrize(("changes", "message"), REFUSED)
def test_what_it_cannot_hold_is_refused_by_name(t5, tmp_path, changes, message):
    with pytest.raises(NotHeldError, match=message) as caught:
        export_transformers(draw(t5, **changes), tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_words_that_are_hashed_are_refused(model, tmp_path):
    with pytest.raises(NotHeldError, match=r"text encoder 'hashed' \(it has 't5'\)"):
        export_transformers(model, tmp_path / "out")


def test_another_export_is_replaced_and_nothing_else(t5, tmp_path):
    model = draw(t5)
    folder = export_transformers(model, tmp_path / "out")
    before = (folder / "model.safetensors").read_bytes()
    (folder / "notes.txt").write_text("mine")
    export_transformers(draw(t5, seed=5), folder)
    assert (folder / "model.safetensors").read_bytes() != before
    assert (folder / "notes.txt").read_text() == "mine"
    for name in ("notes", "config.json"):
        other = tmp_path / name.partition(".")[0]
        other.mkdir()
        (other / name).write_text("{}")
        with pytest.raises(CheckpointError, match="which holds something else: give a new"):
            export_transformers(model, other)
        assert [path.name for path in other.iterdir()] == [name]


def test_a_check_that_fails_writes_nothing(t5, tmp_path):
    seen = []

    def check(folder):
        seen.extend(path.name for path in folder.iterdir())
        raise ValueError("other codes")

    with pytest.raises(ValueError, match="other codes"):
        export_transformers(draw(t5), tmp_path / "out", check=check)
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(seen)
    assert list(tmp_path.iterdir()) == []

"""Four steps of AudioCraft's trainer by `LMModule` itself, from its sounds, with its settings."""

import json
import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch.utils.data import Dataset

from audiogen.checkpoint import save_codec
from audiogen.codec.model import Codec
from audiogen.data.sounds import collate_sounds
from audiogen.lm.model import TokenLM
from audiogen.text.t5 import T5Encoder
from audiogen.training.data import DataModule
from audiogen.training.lm_module import LMModule
from audiogen.training.schedules import inverse_sqrt

from .test_lm_module import fit

GOLDEN = Path(__file__).parents[2] / "golden"
SHARED = Path(__file__).parents[4] / "shared" / "fixtures" / "audiocraft"
CLOSE = {"rel": 1e-3}  # what training steps of another implementation may differ by
AUDIBLE = 3e-6  # of a weight that AdamW moves by up to the learning rate, 5e-4, per step
PREFIX = "condition_provider.conditioners.description.output_proj."


class Steps(Dataset):
    """The sounds and captions of the reference's steps, three a step."""

    sample_rate, num_frames = 16000, 4800

    def __init__(self, batches, texts):
        self.sounds = torch.from_numpy(batches).flatten(0, 1)  # [12, 1, 4800]
        self.texts = texts

    def __len__(self):
        return len(self.sounds)

    def __getitem__(self, index):
        return {
            "waveform": self.sounds[index],
            "num_samples": self.num_frames,
            "caption": self.texts[index % 3] or None,
            "index": index,
            "replaced": 0,
        }


class KeptStates:
    """What the reference's text encoder made of the three captions, padded to the longest."""

    dim, trainable = 32, False
    config = {"_type": "kept"}  # noqa: RUF012

    def __init__(self, texts, states, mask):
        self.rows = dict(zip(texts, zip(states, mask, strict=True), strict=True))

    def encode(self, captions):
        rows = [self.rows[caption or ""] for caption in captions]
        return torch.stack([row[0] for row in rows]), torch.stack([row[1] for row in rows])


def published_name(name):
    """Rename one of our tensors as the reference does, but for those it keeps per codebook."""
    if name.startswith("text_projection."):
        return PREFIX + name.removeprefix("text_projection.")
    name = re.sub(r"^blocks", "transformer.layers", re.sub(r"^norm\.", "out_norm.", name))
    name = name.replace("in_proj.weight", "in_proj_weight").replace("self_attention", "self_attn")
    name = name.replace("norm_self", "norm1").replace("norm_mlp", "norm2")
    return name.replace("mlp_in", "linear1").replace("mlp_out", "linear2")


def their_state(lm):
    """Our weights by the reference's names."""
    ours = lm.state_dict()
    per_codebook = {"embedding.weight": "emb", "head.weight": "linears"}
    theirs = {published_name(name): v for name, v in ours.items() if name not in per_codebook}
    for name, theirs_name in per_codebook.items():
        parts = enumerate(ours[name].chunk(4))
        theirs |= {f"{theirs_name}.{k}.weight": part for k, part in parts}
    return theirs


@pytest.fixture(scope="module")
def steps():
    """Every array of the four steps, from the two golden files."""
    kept = dict(np.load(GOLDEN / "lm_training.npz").items())
    before = np.load(GOLDEN / "lm.npz")
    kept |= {n.removeprefix("steps::"): before[n] for n in before if n.startswith("steps::")}
    return kept


@pytest.fixture
def codec_folder(tmp_path):
    """The codec of the sounds, as a model folder; its weights are in the golden files."""
    tree = yaml.safe_load((GOLDEN / "xp_cfg.yaml").read_text(encoding="utf-8"))
    tree["seanet"] |= {"dimension": 16, "n_filters": 4}
    tree["rvq"] |= {"bins": 32}
    arrays = {}
    for file in ("codec.npz", "codec_training.npz"):
        arrays |= dict(np.load(GOLDEN / file).items())
    prefix = "codec_base/state/"
    state = {n.removeprefix(prefix): torch.from_numpy(v) for n, v in arrays.items() if prefix in n}
    package = {"best_state": state, "xp.cfg": yaml.safe_dump(tree), "exported": True}
    torch.save(package, tmp_path / "codec.bin")
    save_codec(Codec.from_pretrained(tmp_path / "codec.bin"), tmp_path / "codec")
    return str(tmp_path / "codec")


def trained(steps, text, codec_folder, folder, *, embedding_lr=None, fused=False):
    """Train as the reference did; return the module and the rows of its history."""
    settings = json.loads(str(steps["optim_json"]))
    assert settings["optimizer"] == "adamw"
    arrays = np.load(GOLDEN / "lm.npz")
    state = {
        n.removeprefix("state::"): torch.from_numpy(arrays[n]) for n in arrays if "state::" in n
    }
    lm = TokenLM(
        num_codebooks=4,
        codebook_size=32,
        text_dim=32,
        dim=64,
        num_layers=3,
        num_heads=4,
        delays=[0, 1, 2, 3],
        paper_exact=True,
    )
    for name, value in their_state(lm).items():
        value.copy_(state.pop(name))  # views of the weights
    assert not state
    norms = {name: value.norm().item() for name, value in their_state(lm).items()}
    before = dict(zip(names(steps), steps["param_norms_before"], strict=True))
    assert norms == pytest.approx(before, **CLOSE)
    module = LMModule(
        lm,
        text=text,
        optimizer=partial(
            torch.optim.AdamW,
            lr=settings["lr"],
            betas=settings["betas"],
            eps=settings["eps"],
            weight_decay=settings["weight_decay"],
            fused=fused,
        ),
        condition_dropout=0.0,
        seed=0,
        codec_folder=codec_folder,
        schedule=partial(
            inverse_sqrt,
            warmup=settings["warmup"],
            start=settings["warmup_init_lr"] / settings["lr"],
        ),
        gradient_clip=settings["max_norm"],
        embedding_lr=embedding_lr,
    )
    texts = json.loads(str(steps["texts_json"]))
    data = partial(Steps, steps["batches"], texts)
    loader = DataModule(train=data, valid=data, batch_size=3, collate=collate_sounds)
    trainer = fit(module, folder, steps=4, data=loader)
    return module, trainer.loggers[0]._rows


def names(steps):
    return json.loads(str(steps["param_names_json"]))


def assert_as_the_reference(steps, module, rows):
    for number, row in enumerate(rows):
        expected = {
            "train/learning_rate": steps["metric_lr"][number],
            "train/gradient_norm": steps["metric_grad_norm"][number],
            "train/loss": steps["metric_ce"][number],
            "train/perplexity": steps["metric_ppl"][number],
        }
        for k in range(4):
            expected |= {
                f"train/loss_codebook_{k}": steps[f"metric_ce_q{k + 1}"][number],
                f"train/perplexity_codebook_{k}": steps[f"metric_ppl_q{k + 1}"][number],
            }
        found = {name: float(row[name]) for name in expected}
        assert found == pytest.approx(expected, **CLOSE), number
    trained_state = their_state(module.lm)
    norms = {name: value.norm().item() for name, value in trained_state.items()}
    after = dict(zip(names(steps), steps["param_norms_after"], strict=True))
    assert norms == pytest.approx(after, **CLOSE)
    for name in [name for name in steps if name.startswith("after::")]:
        found = trained_state[name.removeprefix("after::")].numpy()
        np.testing.assert_allclose(found, steps[name], rtol=1e-3, atol=AUDIBLE, err_msg=name)


@pytest.mark.parametrize("way", ["one group", "groups of the reference", "fused"])
def test_four_steps_match_golden(steps, codec_folder, tmp_path, way):
    """From sounds; the groups of the reference have equal settings, so they change nothing."""
    arrays = np.load(GOLDEN / "lm.npz")
    texts = json.loads(str(steps["texts_json"]))
    states, mask = arrays["t5_hidden"][:3], arrays["cond_mask"][:3].astype(bool)
    text = KeptStates(texts, torch.from_numpy(states), torch.from_numpy(mask))
    changes = {"groups of the reference": {"embedding_lr": 5e-4}, "fused": {"fused": True}}
    module, rows = trained(steps, text, codec_folder, tmp_path / "run", **changes.get(way, {}))
    groups = module.trainer.optimizers[0].param_groups
    assert len(groups) == (3 if way == "groups of the reference" else 1)
    assert_as_the_reference(steps, module, rows)


def test_sounds_become_the_tokens_of_the_reference(steps, codec_folder):
    codec = Codec.from_pretrained(codec_folder)
    with torch.no_grad():
        codes, _ = codec.encode(torch.from_numpy(steps["batches"]).flatten(0, 1))
    assert torch.equal(codes.unflatten(0, (4, 3)), torch.from_numpy(steps["tokens"]))


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/fixtures/audiocraft")
def test_four_steps_match_the_reference_with_its_text_encoder(codec_folder, tmp_path):
    """The same from the reference's own file, captions through its T5."""
    steps = dict(np.load(SHARED / "training" / "lm_steps.npz").items())
    text = T5Encoder(name=str(SHARED / "audiogen_tiny" / "t5_tiny"))
    module, rows = trained(steps, text, codec_folder, tmp_path / "run")
    assert_as_the_reference(steps, module, rows)

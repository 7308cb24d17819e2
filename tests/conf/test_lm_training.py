"""The published language models and how they were trained, number by number."""

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from audiogen.training.identity import run_id

from .test_compose import CONF, trained

# AudioGen as its training code and configuration have it, with ours where it was wrong (below).
PUBLISHED = {
    "seed": 2036,
    "lm.num_codebooks": 4,
    "lm.codebook_size": 2048,
    "lm.norm_first": True,
    "lm.hidden_scale": 4,
    "lm.activation": "gelu",
    "lm.dropout": 0.0,
    "lm.embedding_std": None,  # 1 / sqrt(dim)
    "text.encoder.name": "t5-large",
    "text.encoder.lowercase": True,
    "text_dim": 1024,
    "codec.sample_rate": 16000,
    "module.condition_dropout": 0.1,
    "module.attribute_dropout": None,
    "module.word_dropout": 0.0,
    "module.embedding_lr": None,
    "module.gradient_clip": 1.0,
    "module.accumulate": 1,
    "module.schedule._target_": "audiogen.training.schedules.inverse_sqrt",
    "module.schedule.warmup": 3000,
    "optim._target_": "torch.optim.AdamW",
    "optim.lr": 5e-4,
    "optim.betas": [0.9, 0.95],
    "optim.eps": 1e-8,
    "optim.weight_decay": 0.1,
    "optim.fused": True,
    "average.decay": 0.99,
    "average.every": 10,
    "trainer.max_steps": 100 * 2000,
    "trainer.val_check_interval": 2000,
}
# dim, layers, heads, processes
SIZES = {
    "audiogen_base": (512, 8, 8, 1),
    "audiogen_small": (1024, 24, 16, 8),
    "audiogen_medium": (1536, 48, 24, 8),
    "audiogen_v1": (1536, 48, 24, 8),
}


def count_values(dim, layers):
    """Parameters, in closed form: embeddings, head, text, blocks, and the last norm."""
    around = 4 * 2049 * dim + 4 * 2048 * dim + (1024 + 1) * dim + 2 * dim
    return around + layers * (16 * dim * dim + 6 * dim)


def values(cfg, keys):
    found = {key: OmegaConf.select(cfg, key) for key in keys}
    return {k: OmegaConf.to_container(v) if OmegaConf.is_config(v) else v for k, v in found.items()}


@pytest.mark.parametrize("name", SIZES)
def test_experiments_are_what_was_published(name):
    cfg = trained("train_lm", f"experiment={name}")
    assert values(cfg, PUBLISHED) == PUBLISHED
    dim, layers, heads, processes = SIZES[name]
    assert (cfg.lm.dim, cfg.lm.num_layers, cfg.lm.num_heads) == (dim, layers, heads)
    with torch.device("meta"):
        lm = instantiate(cfg.lm, _convert_="all")
    assert sum(p.numel() for p in lm.parameters()) == count_values(dim, layers)
    assert count_values(1536, 48) == 1_839_131_136  # as published
    assert lm.delays == [0, 1, 2, 3]
    assert cfg.trainer.devices == processes
    assert cfg.data.batch_size * processes == 128
    assert cfg.name == name
    assert len((CONF / "experiment" / f"{name}.yaml").read_text().splitlines()) <= 25


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("precision", ["16-mixed", "bf16-mixed", "32-true"])
def test_any_precision_is_one_word(name, precision):
    cfg = trained("train_lm", f"experiment={name}", f"trainer.precision={precision}")
    assert cfg.trainer.precision == precision
    assert trained("train_lm", f"experiment={name}").trainer.precision == "bf16-mixed"


def test_learning_rates_are_those_measured_on_the_reference():
    cfg = trained("train_lm", "experiment=audiogen_medium")
    schedule = instantiate(cfg.module.schedule)
    rates = [cfg.optim.lr * schedule(update - 1) for update in (1, 3000, 6000)]
    assert rates == pytest.approx([1.667e-7, 5e-4, 3.5355e-4], rel=1e-3)


def test_the_optimizer_has_one_group_or_those_of_the_reference():
    small = ["lm.dim=16", "lm.num_layers=1", "lm.num_heads=2", "text=hashed", "text_dim=8"]
    for words, rates in (([], [5e-4]), (["module.embedding_lr=1e-3"], [5e-4, 1e-3, 5e-4])):
        cfg = trained("train_lm", "experiment=audiogen_medium", *small, *words)
        module = instantiate(cfg.module, _convert_="all")
        optimizer = module.configure_optimizers()
        groups = optimizer.param_groups
        assert [group["lr"] for group in groups] == rates
        assert all(group["weight_decay"] == 0.1 for group in groups)  # of norms and biases, too
        names = {id(p): name for name, p in module.parts.named_parameters()}
        held = [[names.pop(id(p)) for p in group["params"]] for group in groups]
        assert not names  # every parameter is in one group
        if len(groups) == 3:
            assert held[1] == ["lm.embedding.weight"]
            assert all(name.startswith("lm.blocks.") for name in held[2])


def test_v1_mixes_segments_of_five_seconds():
    cfg = trained("train_lm", "experiment=audiogen_v1")
    assert cfg.data.train.segment_duration == cfg.data.valid.segment_duration == 5.0
    mixing = cfg.data.collate.mixing
    assert (mixing.probability, mixing.keep, mixing.min_overlap) == (0.5, 0.5, 0.5)
    assert (list(mixing.snr_db), list(mixing.level_db)) == ([-5, 5], [-35, -15])
    assert (
        trained(
            "train_lm", "experiment=audiogen_medium", "data=audiocaps_sounds"
        ).data.train.segment_duration
        == 10.0
    )


def test_as_published_half_of_256_items_remain():
    """Ours mixes half of 128 and keeps them all."""
    for exact, per_process in ((False, 16), (True, 32)):
        words = [f"lm.paper_exact={exact}", f"data.batch_size={per_process}"]
        cfg = trained("train_lm", "experiment=audiogen_v1", *words)
        mixing = instantiate(cfg.data.collate.mixing, _convert_="all")
        assert mixing.paper_exact == exact
        batch = {
            "waveform": torch.rand(per_process, 1, 800),
            "num_samples": torch.full((per_process,), 800),
            "captions": ["a"] * per_process,
        }
        left = mixing(batch, torch.Generator().manual_seed(0))
        assert len(left["captions"]) * cfg.trainer.devices == 128


def test_paper_exact_is_one_word():
    small = ["lm.dim=16", "lm.num_layers=1", "lm.num_heads=2", "text=hashed", "text_dim=8"]
    for exact in (False, True):
        cfg = trained("train_lm", "experiment=audiogen_medium", *small, f"lm.paper_exact={exact}")
        module = instantiate(cfg.module, _convert_="all")
        assert module.lm.paper_exact == module.paper_exact == exact
        assert module.complete == (not exact)
        assert module.average_epoch == (2000 if exact else None)


def test_a_codec_that_encodes_is_part_of_the_identity_and_one_that_only_decodes_is_not(tmp_path):
    ids = {}
    for data in ("audiocaps_sounds", "audiocaps_tokens"):
        ids[data] = []
        for weights in ("one", "two!"):
            (tmp_path / "model.safetensors").write_text(weights)
            words = [f"data={data}", f"codec_folder={tmp_path}"]
            ids[data].append(run_id(_root_=trained("train_lm", *words)))
    assert ids["audiocaps_sounds"][0] != ids["audiocaps_sounds"][1]
    assert ids["audiocaps_tokens"][0] == ids["audiocaps_tokens"][1]


@pytest.mark.parametrize(
    "word", ["samples.every=7", "scores.every=7", "alarms=null", "module.matrix_rate=1e12"]
)
def test_what_is_only_watched_does_not_change_the_run(word):
    assert run_id(_root_=trained("train_lm", word)) == run_id(_root_=trained("train_lm"))

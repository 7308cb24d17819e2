"""Every configuration that can be chosen composes, and fits the code it names."""

import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.errors import ConfigCompositionException
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf

from audiogen.training.identity import register_resolvers, run_id

CONF = Path(__file__).parents[2] / "conf"
ROOTS = sorted(path.stem for path in CONF.glob("*.yaml"))
OF_CODEC = {"codec", "adversarial", "objective"}
OF_CODEC_ONLY = {"sounds_16khz", "random_sounds", "adam_gan", "codebooks"}
NEEDED = ["trainer.max_steps=10"]


def choices() -> Iterator[tuple[str, str, str]]:
    """Yield (root, group, file) for every file of every group."""
    for path in sorted(CONF.rglob("*.yaml")):
        group = path.relative_to(CONF).parent.as_posix()
        if group != "." and not group.startswith("hydra/") and group != "job":
            yield root_of(group, path.stem), group, path.stem


def root_of(group: str, name: str) -> str:
    if group == "sampling" or name == "guidance_scale":
        return "generate"
    if group == "metrics":
        return "evaluate"
    is_codec = group in OF_CODEC or name in OF_CODEC_ONLY or "codec" in name
    return "train_codec" if is_codec else "train_lm"


def composed(root: str, *overrides: str) -> DictConfig:
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(root, overrides=list(overrides))


def trained(root: str, *overrides: str) -> DictConfig:
    """Compose a training root with the values that it leaves open."""
    words = [] if any(o.startswith("experiment=") for o in overrides) else NEEDED
    return composed(root, *overrides, *words)


def targets(node: object) -> Iterator[dict]:
    """Yield every part of a configuration that names something to be called."""
    if isinstance(node, dict):
        if "_target_" in node:
            yield node
        for value in node.values():
            yield from targets(value)
    elif isinstance(node, list):
        for value in node:
            yield from targets(value)


@pytest.mark.parametrize("root", ROOTS)
def test_every_root_composes_and_is_short(root):
    composed(root)
    assert len((CONF / f"{root}.yaml").read_text().splitlines()) <= 40


@pytest.mark.parametrize(("root", "group", "name"), choices())
def test_every_choice_fits_the_code_it_names(root, group, name):
    if name == "base":
        return  # what sizes share; chosen through one of them
    compose_one = trained if root.startswith("train") else composed
    cfg = compose_one(root, f"{group}={name}")
    container = OmegaConf.to_container(cfg, resolve=True)
    for node in targets(container):
        signature = inspect.signature(get_object(node["_target_"]))
        given = {key for key in node if not (key.startswith("_") and key.endswith("_"))}
        takes_all = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
        unknown = given - signature.parameters.keys()
        assert takes_all or not unknown, f"{node['_target_']} does not take {sorted(unknown)}"


@pytest.mark.parametrize("name", ["tiny", "encodec_16khz"])
def test_codecs_are_built(name):
    codec = instantiate(trained("train_codec", f"codec={name}").codec, _convert_="all")
    assert codec.frame_rate == 50
    if name == "encodec_16khz":
        assert sum(p.numel() for p in codec.parameters()) == 56_819_138  # as published


@pytest.mark.parametrize(
    ("size", "parameters"), [("small", 0.42e9), ("medium", 1.84e9), ("large", 3.26e9)]
)
def test_language_models_are_of_their_size(size, parameters):
    with torch.device("meta"):
        lm = instantiate(trained("train_lm", f"lm={size}").lm, _convert_="all")
    count = sum(p.numel() for p in lm.parameters())
    assert count == pytest.approx(parameters, rel=0.01)
    if size == "medium":
        assert count == 1_839_131_136  # as published


@pytest.mark.parametrize(
    "words",
    [
        ["train_codec", "experiment=smoke_codec"],
        ["train_codec", "experiment=demo_codec"],
        ["train_codec", "experiment=codec_16khz", "logger=none"],
        ["train_lm", "experiment=smoke"],
        ["train_codec", "experiment=embedded_codec"],
        ["train_lm", "experiment=demo_lm"],
        ["train_lm", "experiment=embedded_lm"],
        ["train_lm", "experiment=audiogen_small", "text=hashed", "lm=tiny", "logger=none"],
    ],
)
def test_experiments_are_built(words):
    cfg = trained(*words)
    module = instantiate(cfg.module, _convert_="all")
    assert module.configure_optimizers()
    data = instantiate(cfg.data, _convert_="all")
    assert data.batch_size == cfg.data.batch_size
    for name in ("average", "samples"):
        if cfg[name] is not None:
            instantiate(cfg[name], _convert_="all")
    assert 0 < module.schedule(0) <= 1
    types = [type(value) for value in vars(module).values()]
    assert not any(kind.__module__.startswith("omegaconf") for kind in types)


def test_shared_facts_live_once():
    cfg = trained("train_lm", "codec=tiny", "text=hashed", "text_dim=24", "lm=small")
    assert cfg.lm.num_codebooks == cfg.codec.num_codebooks == 4
    assert cfg.lm.codebook_size == cfg.codec.codebook_size == 128
    assert cfg.lm.text_dim == cfg.text.dim == 24
    assert cfg.module.seed == cfg.data.train.seed == cfg.seed


@pytest.mark.parametrize(
    ("root", "word"),
    [
        ("train_lm", "module.condition_dropout=0.2"),
        ("train_lm", "lm.dropout=0.2"),
        ("train_lm", "seed=1"),
        ("train_lm", "codec=tiny"),
        ("train_codec", "module.balancer.weights.l1=0.2"),
        ("train_codec", "data.train.segment_duration=0.5"),
    ],
)
def test_one_changed_value_changes_the_run(root, word):
    before, after = trained(root), trained(root, word)
    assert run_id(_root_=before) != run_id(_root_=after)
    assert before.folder.endswith(f"{root}/{run_id(_root_=before)}")


def test_paths_come_from_the_environment_and_do_not_change_the_run(monkeypatch):
    before = trained("train_lm")
    identity = run_id(_root_=before)
    monkeypatch.setenv("AUDIOGEN_DATA", "/elsewhere/data")
    monkeypatch.setenv("AUDIOGEN_RUNS", "/elsewhere/runs")
    after = trained("train_lm")
    assert after.tokens == "/elsewhere/data/audiocaps_tokens"
    assert after.folder == f"/elsewhere/runs/train_lm/{identity}"


@pytest.mark.parametrize("word", ["lm.dimm=3", "lm=smal", "expriment=smoke", "module.lr=1"])
def test_unknown_keys_are_refused(word):
    with pytest.raises(ConfigCompositionException):
        trained("train_lm", word)


def test_experiments_are_small_differences():
    for path in CONF.glob("experiment/*.yaml"):
        lines = path.read_text().splitlines()
        assert lines[0] == "# @package _global_", path
        assert "python scripts/" in "".join(lines[1:3]), f"{path}: which command uses it?"
        assert len(lines) <= 25, path


def test_sweeps_are_multiruns_of_values_that_exist():
    for path in sorted(CONF.glob("sweep/*.yaml")):
        root = root_of("sweep", path.stem)
        cfg = composed(root, f"sweep={path.stem}")
        sweep = OmegaConf.load(path).hydra
        assert sweep.mode == "MULTIRUN"
        for key in sweep.sweeper.params:
            assert OmegaConf.select(cfg, key) is not None, f"{path}: {key}"


def test_launcher_asks_slurm_for_what_the_trainer_uses():
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        words = ["experiment=audiogen_small", "hydra/launcher=slurm", "trainer.devices=4"]
        cfg = compose("train_lm", overrides=words, return_hydra_config=True)
    launcher = cfg.hydra.launcher
    assert launcher._target_.endswith("submitit_launcher.SlurmLauncher")
    assert launcher.gpus_per_node == launcher.tasks_per_node == 4
    assert launcher.max_num_timeout == 5
    assert cfg.resume_from == "auto"  # or a resubmitted job would start from zero


LARGE = [
    *(("train_lm", f"audiogen_{name}") for name in ("base", "small", "medium", "large", "v1")),
    *(("train_codec", f"codec_{name}") for name in ("16khz", "16khz_causal", "24khz", "48khz")),
]


@pytest.mark.parametrize(("root", "name"), LARGE)
def test_a_trainer_on_the_command_line_takes_the_place_of_the_experiments_gpus(root, name):
    asked = trained(root, f"experiment={name}")
    smoke = trained(root, f"experiment={name}", "trainer=smoke").trainer
    assert (smoke.accelerator, smoke.devices, smoke.max_steps) == ("cpu", 1, 2)
    assert smoke.val_check_interval == 2
    cpu = trained(root, f"experiment={name}", "trainer=cpu").trainer
    assert (cpu.accelerator, cpu.devices) == ("cpu", 1)
    assert cpu.max_steps == asked.trainer.max_steps == asked.updates
    shared = trained(root, f"experiment={name}", "trainer=fsdp").trainer
    assert (shared.devices, shared.max_steps) == (8, asked.updates)


@pytest.mark.parametrize("trainer", ["smoke", "cpu", "ddp_cpu", "fsdp_cpu"])
def test_smoke_is_as_short_on_any_trainer(trainer):
    assert trained("train_lm", "experiment=smoke", f"trainer={trainer}").trainer.max_steps == 2


def test_updates_and_max_steps_are_one_number_of_the_run():
    short, long = (trained("train_lm", "experiment=smoke", f"updates={n}") for n in (3, 4))
    assert run_id(_root_=short) == run_id(
        _root_=trained("train_lm", "experiment=smoke", "updates=3")
    )
    lengthy = trained("train_lm", "experiment=audiogen_small", "updates=4")
    by_trainer = trained("train_lm", "experiment=audiogen_small", "trainer.max_steps=4")
    assert run_id(_root_=lengthy) == run_id(_root_=by_trainer)
    assert (short.trainer.max_steps, long.trainer.max_steps) == (2, 2)  # smoke has its own

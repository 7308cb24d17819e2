from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from audiogen.tokens.make import PATTERNS
from audiogen.training.identity import register_resolvers

CONF = Path(__file__).parents[2] / "conf"


def composed_lm(*overrides):
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train_lm", overrides=["experiment=smoke", *overrides])
    return instantiate(cfg.lm, _convert_="all")


def test_there_is_a_file_for_every_pattern():
    assert {path.stem for path in (CONF / "lm" / "pattern").glob("*.yaml")} == set(PATTERNS)


@pytest.mark.parametrize("name", PATTERNS)
def test_every_pattern_can_be_chosen(name):
    lm = composed_lm(f"lm/pattern={name}")
    assert lm.pattern == PATTERNS[name](num_codebooks=lm.num_codebooks)


def test_options_of_a_pattern_can_be_set():
    lm = composed_lm("lm.pattern.delays=[0,0,2,5]", "lm.paper_exact=true", "lm.norm_first=false")
    assert lm.delays == [0, 0, 2, 5]
    assert lm.paper_exact
    assert not lm.config["norm_first"]

"""What the manual says of writing a card is what the code takes: every part of it can be built."""

import re
from dataclasses import fields
from inspect import signature
from pathlib import Path

from evaluation.catalog import METRICS, NETWORKS
from evaluation.embedders.clap_front import LONG, SHORT
from evaluation.embedders.clap_network import TOWERS
from evaluation.embedders.openl3_front import PICTURES
from evaluation.embedders.openl3_network import SIZES
from evaluation.embedders.panns_front import MODELS
from evaluation.embedders.passt_front import RULES
from evaluation.embedders.passt_network import VARIANTS
from evaluation.embedders.vggish import EMBEDDINGS
from evaluation.embedders.vggish import ROUNDINGS as PCA
from evaluation.metrics.cosine import WINDOW_RULES
from evaluation.metrics.divergence import ACTIVATIONS, DIRECTIONS, SEGMENTS
from evaluation.metrics.extrapolation import RECIPES
from evaluation.metrics.feature_frechet import METHODS as DISTANCE_METHODS
from evaluation.metrics.feature_frechet import STATISTICS
from evaluation.metrics.inception import ORDERS
from evaluation.metrics.kernel import SIDES
from evaluation.metrics.neighbors import VALUES
from evaluation.preparation.resample import METHODS
from evaluation.preparation.steps import STEPS, Steps
from evaluation.preparation.steps_level import ROUNDINGS
from evaluation.protocols.card import ProtocolCard, load_protocol
from evaluation.protocols.strict_yaml import read_strict_yaml
from evaluation.scorers.features import KINDS, build_feature_scorer
from evaluation.scorers.pairs import ITEMS
from evaluation.scorers.sets import ROWS
from evaluation.scorers.waveforms import BUILDERS, build_scorer
from tests.evaluation.test_cards import TAKES

README = (Path(__file__).parents[2] / "evaluation" / "README.md").read_text(encoding="utf-8")


def yaml_blocks():
    return [
        read_strict_yaml(block)
        for block in re.findall(r"^```yaml\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
    ]


def test_every_step_there_is_stands_in_the_manual_with_its_fields():
    steps = yaml_blocks()[0]
    written: dict[str, set[str]] = {}
    for built, raw in zip(Steps(steps).canonical(), steps, strict=True):  # and each can be built
        ((name, options),) = built.items()
        stated = raw[name] if isinstance(raw, dict) and isinstance(raw[name], dict) else options
        written.setdefault(name, set()).update(stated)
    taken = {name: {field.name for field in fields(kind)} for name, kind in STEPS.items()}
    assert written == taken
    assert named(*METHODS, *ROUNDINGS) == []


def test_every_network_there_is_stands_in_the_manual_with_its_options():
    written = {name: set(options) for name, options in yaml_blocks()[1].items()}
    code = {"self", "weights", "device", "dtype", "vggish", "panns", "passt", "openl3"}
    code |= {"tokenizer", "cache"}  # where files are
    taken = {
        name: set().union(*(signature(kind.__init__).parameters for kind in kinds)) - code
        for name, kinds in TAKES.items()
    }
    assert written == taken
    assert taken.keys() == NETWORKS.keys()
    values = (*VARIANTS, *MODELS, *TOWERS, *LONG, *SHORT, *PICTURES, *map(str, SIZES), *RULES)
    assert named(*values, *EMBEDDINGS, *PCA) == []


def test_every_kind_of_metric_there_is_stands_in_the_manual_with_its_options():
    kinds = yaml_blocks()[2]
    assert kinds.keys() == KINDS.keys()
    for kind, options in kinds.items():
        takes = signature(KINDS[kind].__init__).parameters.keys() - {"self", "key", "features"}
        assert options.keys() == takes
        build_feature_scorer("key", options | {"kind": kind, "features": "mine"})
    values = (*DISTANCE_METHODS, *STATISTICS, *RECIPES, *SIDES, *VALUES, *DIRECTIONS, *ACTIVATIONS)
    assert named(*values, *SEGMENTS, *ORDERS, *ROWS, *ITEMS, *WINDOW_RULES) == []


def test_every_metric_on_waveforms_stands_in_the_manual_and_can_be_built():
    metrics = yaml_blocks()[3]
    assert list(metrics) == list(BUILDERS)
    card = load_protocol("codec").to_dict()
    for key, options in metrics.items():
        own = ProtocolCard.from_dict(card | {"metrics": {key: options}})
        if METRICS[key].package is None:  # the others are optional
            build_scorer(key, own)
        assert options.keys() == card["metrics"][key].keys()


def named(*values):
    """Return the values that the section on cards does not have as words."""
    section = README.partition("## Writing a card")[2].partition("\n## ")[0]
    return [
        value for value in values if not re.search(rf"(?<!\w){re.escape(value)}(?!\w)", section)
    ]

"""Checks of a protocol card: every field known, none missing, each of a kind that can be used."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from typing import Any

from evaluation.catalog import METRICS, NETWORKS, check_metrics, nearest
from evaluation.preparation.resample import METHODS
from evaluation.preparation.steps import Steps
from evaluation.preparation.steps_level import check_number
from evaluation.protocols.card import Bootstrap, ProtocolCard
from evaluation.protocols.strict_yaml import check_plain

CHOICES = {
    "length": ("cut", "keep", "match"),
    "silence": ("refuse", "score"),
    "resampler": tuple(METHODS),
    "captions": ("first", "all", "listed", "none"),
}
FEATURE_FIELDS = ("network", "weights", "input", "dtype")
DTYPES = ("float32", "bfloat16")
TEST_LIST_FIELDS = ("name", "clips", "captions", "sha256")
STAND_IN = "logmel"  # the network of the one score over features that needs no weights
LOGIT_KINDS = ("kl", "inception")
MOST_RESAMPLES = 100_000  # every score keeps a number for each
NOW_STEPS = ("mono", "generated_loudness", "loudness_floor")  # fields of older cards


def check_card(content: Any) -> None:
    """Check a card's content.

    Raises:
        ValueError: naming the field in dotted form, what is wrong, and what was expected.
    """
    check_plain(content, "")
    _check_keys(content, [field.name for field in fields(ProtocolCard)], "the card")
    _check_values(content)
    _check_bootstrap(content["bootstrap"])
    _check_test_list(content["test_list"])
    for field in ("input", "generated"):
        _steps(content[field], field)
    steps = _steps(content["input"], "input")
    if steps.channels != 1 or steps.mono == "joined":
        raise ValueError(
            f"input must lead to one channel with `mono: mean` or `mono: first`, got "
            f"{content['input']}"
        )
    _check_mapping(content["features"], "features", empty=True)
    for name, options in content["features"].items():
        _named(f"features.{name}", _check_feature, options)
    _check_mapping(content["metrics"], "metrics", empty=False)
    check_metrics(content["metrics"])
    for key, options in content["metrics"].items():
        _named(f"metrics.{key}", _check_metric, key, options, content)


def _check_keys(content: Any, expected: Iterable[str], where: str) -> None:
    if not isinstance(content, dict):
        raise ValueError(f"expected a mapping for {where}, got {content!r}")
    expected = list(expected)
    missing = [key for key in expected if key not in content]
    unknown = [key for key in content if key not in expected]
    if missing or unknown:
        hint = nearest(unknown[0], missing or expected) if unknown else ""
        if set(unknown) & set(NOW_STEPS):
            hint = " An older card: these are steps of `input` and `generated` now."
        raise ValueError(
            f"missing fields {missing}, unknown fields {unknown} in {where}.{hint} A card states "
            "every field and no other: begin with a copy of one that ships."
        )


def _check_values(content: Mapping[str, Any]) -> None:
    for field in ("name", "description", "source"):
        if not isinstance(content[field], str) or not content[field].strip():
            raise ValueError(f"{field} must be text, got {content[field]!r}")
    for field, choices in CHOICES.items():
        if content[field] not in choices:
            raise ValueError(f"{field} must be one of {', '.join(choices)}, got {content[field]!r}")
    _number("min_duration", content["min_duration"], least=0)
    _whole("version", content["version"], least=1)


def _check_bootstrap(numbers: Any) -> None:
    _check_keys(numbers, [field.name for field in fields(Bootstrap)], "bootstrap")
    _whole("bootstrap.resamples", numbers["resamples"], least=1)
    if numbers["resamples"] > MOST_RESAMPLES:
        got = numbers["resamples"]
        raise ValueError(f"bootstrap.resamples must be at most {MOST_RESAMPLES}, got {got}")
    _whole("bootstrap.seed", numbers["seed"], least=0)
    _number("bootstrap.confidence", numbers["confidence"], least=0)
    if not 0 < numbers["confidence"] < 1:
        raise ValueError(f"bootstrap.confidence lies between 0 and 1, got {numbers['confidence']}")


def _check_test_list(content: Any) -> None:
    if content is None:
        return
    _check_keys(content, TEST_LIST_FIELDS, "test_list")
    if not isinstance(content["name"], str):
        raise ValueError(f"test_list.name must be text, got {content['name']!r}")
    for field in ("clips", "captions"):
        if content[field] is not None:
            _whole(f"test_list.{field}", content[field], least=1)
    digest = content["sha256"]
    if digest is not None and not re.fullmatch("[0-9a-f]{64}", str(digest)):
        raise ValueError(f"test_list.sha256 must be 64 hex digits or null, got {digest!r}")


def _check_feature(options: Any) -> None:
    if not isinstance(options, dict):
        raise ValueError(f"expected a mapping with network, weights, input, dtype, got {options!r}")
    known = [key for key in options if key in FEATURE_FIELDS]
    missing = [field for field in FEATURE_FIELDS if field not in options]
    if missing:
        others = [key for key in options if key not in known]
        hint = nearest(missing[0], others).replace("Did you mean", "Is it meant by")
        raise ValueError(f"missing fields {missing}.{hint} null is a value where there is none")
    network = options["network"]
    if not isinstance(network, str) or network not in NETWORKS:
        hint = nearest(network, NETWORKS)
        raise ValueError(f"unknown network {network!r}.{hint} Known: {', '.join(NETWORKS)}.")
    if options["dtype"] not in DTYPES:
        raise ValueError(f"dtype must be one of {', '.join(DTYPES)}, got {options['dtype']!r}")
    _check_weights(options["weights"], network)
    _check_network_input(_steps(options["input"], "input"), network)


def _check_weights(weights: Any, network: str) -> None:
    if not NETWORKS[network].pretrained:
        if weights is not None:
            raise ValueError(f"{network} has no weights: weights must be null, got {weights!r}")
    elif not isinstance(weights, str) or not weights or "/" in weights or "\\" in weights:
        raise ValueError(f"weights must be the name of a file without a folder, got {weights!r}")


def _check_network_input(steps: Steps, network: str) -> None:
    info = NETWORKS[network]
    rates = " or ".join(str(rate) for rate in info.rates) or "any"
    if steps.sample_rate is None or (info.rates and steps.sample_rate not in info.rates):
        got = "no resample" if steps.sample_rate is None else f"{steps.sample_rate} Hz"
        raise ValueError(
            f"{network} takes {rates} Hz, and input has {got}. State it with the step "
            "`resample: {rate: ..., method: ...}`."
        )
    if steps.channels != info.channels:
        step = "mono: mean` or `mono: first" if info.channels == 1 else "stereo"
        got = "those of the file" if steps.channels is None else str(steps.channels)
        raise ValueError(
            f"{network} takes channels: {info.channels}, and input leads to {got}. Add the step "
            f"`{step}`."
        )


def _check_metric(key: str, options: Any, content: Mapping[str, Any]) -> None:
    info = METRICS[key]
    if not isinstance(options, dict | None):
        raise ValueError(f"options must be a mapping, got {options!r}")
    options = options or {}
    if info.needs_captions and content["captions"] == "none":
        raise ValueError("it needs captions, and the card scores none (captions: none)")
    if info.kind is None:
        if "features" in options:
            raise ValueError("it is measured on waveforms and has no features")
        return
    for field in ("kind", "features", "output"):
        if field not in options:
            raise ValueError(f"missing field {field}; a score over features states kind, features "
                             "and output")  # fmt: skip
    if options["kind"] != info.kind:
        raise ValueError(f"kind must be {info.kind}, got {options['kind']!r}")
    _check_used_features(options, info.network or STAND_IN, content["features"])


def _check_used_features(options: Mapping[str, Any], network: str, features: Any) -> None:
    name, output = options["features"], options["output"]
    if not isinstance(name, str) or name not in features:
        hint = nearest(name, features)
        raise ValueError(
            f"features {name!r} are not on the card.{hint} It has {', '.join(features) or 'none'}."
        )
    found = features[name]["network"]
    if found != network:
        raise ValueError(f"it is a score of {network}, and features {name} are of {found}")
    outputs = NETWORKS[network].outputs
    if output not in outputs:
        raise ValueError(f"output of {network} must be one of {', '.join(outputs)}, got {output!r}")
    if (options["kind"] in LOGIT_KINDS) != (output == "logits"):
        wanted = "logits" if options["kind"] in LOGIT_KINDS else "embedding"
        raise ValueError(f"output of a {options['kind']} score must be {wanted}, got {output!r}")


def _check_mapping(value: Any, field: str, *, empty: bool) -> None:
    if not isinstance(value, dict) or not (value or empty):
        raise ValueError(f"{field} must name one or more {field} with their options, got {value!r}")


def _steps(value: Any, field: str) -> Steps:
    return _named(field, Steps, value)


def _named(where: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a check, and say in its error where in the card it looked."""
    try:
        return function(*arguments)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def _number(name: str, value: Any, *, least: float) -> None:
    check_number(name, value)
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value!r}")


def _whole(name: str, value: Any, *, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name} must be a whole number from {least}, got {value!r}")

"""The configuration in a published file: YAML or a mapping, of which single keys are resolved.

Values may refer to others: ``${sample_rate}``, ``${encodec.causal}``, relative ``${.n_q}`` and
``${..channels}``, inside text ``run_${seed}``, nested ``${seanet.${name}}``. Only what is asked for
is resolved, so what cannot be known here, such as ``${oc.env:USER}`` in a path, does no harm.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from audiogen.model_folder.layout import CheckpointError
from audiogen.released.stand_ins import to_plain

Location = tuple[str, ...]
MOST_STEPS = 20_000  # a real one takes a few hundred
DEEPEST = 64  # a real one is five keys deep

# YAML 1.1 as PyYAML knows it takes 1e-05 for text: numbers need no dot here, as in OmegaConf.
FLOAT = re.compile(
    r"""^(?:[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?
    |[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+
    |[-+]?\.[0-9][0-9_]*(?:[eE][-+]?[0-9]+)?
    |[-+]?\.(?:inf|Inf|INF)
    |\.(?:nan|NaN|NAN))$""",
    re.X,
)


class Loader(yaml.SafeLoader):
    """Plain values only; a key that is given twice is an error, a date is text."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Build a dict, and refuse what would silently lose one of two values."""
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        twice = sorted({key for key in keys if keys.count(key) > 1 and key != "<<"})
        if twice:
            raise yaml.constructor.ConstructorError(
                None, None, f"key {twice[0]!r} is given twice", node.start_mark
            )
        return super().construct_mapping(node, deep=deep)


class Dumper(yaml.SafeDumper):
    """Quotes what `Loader` would take for a number."""


for _kind in (Loader, Dumper):
    _kind.yaml_implicit_resolvers = {
        first: [(tag, rule) for tag, rule in rules if not tag.endswith((":timestamp", ":float"))]
        for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    _kind.add_implicit_resolver("tag:yaml.org,2002:float", FLOAT, list("-+0123456789."))


def dump(tree: Mapping[str, Any]) -> str:
    """Write a configuration as YAML, in the order of its keys."""
    return yaml.dump(dict(tree), Dumper=Dumper, sort_keys=False)


class XpCfg:
    """A configuration, unresolved.

    Args:
        value: YAML text, a mapping, or an OmegaConf object, real or read by `read_archive`.
        source: the file it comes from, named in errors.

    Raises:
        CheckpointError: if it is none of these, or no YAML.
    """

    def __init__(self, value: object, *, source: Path) -> None:
        self.source = source
        self._steps = 0
        try:
            tree = self._parse(value) if isinstance(value, str) else to_plain(value)
        except RecursionError as error:
            raise self.error("is nested without end") from error
        if not isinstance(tree, dict):
            raise self.error(f"is {type(tree).__name__} instead of a mapping or its YAML text")
        self.tree: dict[str, Any] = tree

    def error(self, text: str) -> CheckpointError:
        """Make the error that says what is wrong with this configuration, and where it is."""
        return CheckpointError(
            f"{self.source}: its xp.cfg {text}. Get the file again, or export it anew from the "
            "training that made it"
        )

    def has(self, path: str) -> bool:
        """Tell whether there is a value at a dotted path, and it is not null."""
        try:
            node, at = self._walk(path.split("."), (), ())
            return self._shallow(node, at, ())[0] is not None
        except KeyError:
            return False

    def get(self, path: str) -> Any:
        """Return the value at a dotted path with everything in it resolved.

        Raises:
            CheckpointError: if it is missing, or refers to what is missing, to itself, or to
                something outside the file.
        """
        try:
            node, at = self._walk(path.split("."), (), ())
            return self._deep(node, at, ())
        except KeyError:
            raise self.error(f"lacks {path}") from None
        except RecursionError:
            raise self.error(f"refers deeper than anyone can follow at {path}") from None

    def _parse(self, text: str) -> Any:
        try:
            return yaml.load(text, Loader=Loader)
        except (yaml.YAMLError, ValueError) as error:
            raise self.error(f"is not plain YAML ({' '.join(str(error).split())})") from error

    def _deep(self, node: Any, at: Location, trail: tuple[Location, ...]) -> Any:
        node, at = self._shallow(node, at, trail)
        if isinstance(node, dict | list):
            if at in trail:
                raise self.error(f"refers to itself: {_cycle(trail, at)}")
            if len(at) > DEEPEST:
                raise self.error(f"is nested without end at {'.'.join(at[:3])}")
            inside = (*trail, at)
            if isinstance(node, list):
                return [self._deep(item, (*at, str(i)), inside) for i, item in enumerate(node)]
            return {key: self._deep(item, (*at, str(key)), inside) for key, item in node.items()}
        return node

    def _shallow(
        self, node: Any, at: Location, trail: tuple[Location, ...]
    ) -> tuple[Any, Location]:
        """Follow references until there is a value, and say where that stands."""
        self._steps += 1
        if self._steps > MOST_STEPS:
            raise self.error("refers to itself so often that it has no end")
        if node == "???":
            raise self.error(f"leaves {'.'.join(at)} open ('???')")
        if not isinstance(node, str) or "${" not in node:
            return node, at
        if at in trail:
            raise self.error(f"refers to itself: {_cycle(trail, at)}")
        return self._interpolate(node, at, (*trail, at))

    def _interpolate(
        self, text: str, at: Location, trail: tuple[Location, ...]
    ) -> tuple[Any, Location]:
        parts: list[str] = []
        position = 0
        while (start := text.find("${", position)) >= 0:
            before = text[position:start]
            slashes = len(before) - len(before.rstrip("\\"))
            parts.append(before[: len(before) - slashes] + "\\" * (slashes // 2))
            if slashes % 2:  # an escaped one is text
                parts.append("${")
                position = start + 2
                continue
            end = self._closing(text, start, at)
            value, found_at = self._refer(text[start + 2 : end], at, trail)
            if start == 0 and end == len(text) - 1:
                return value, found_at
            parts.append(str(self._deep(value, found_at, trail)))
            position = end + 1
        return "".join(parts) + text[position:], at

    def _closing(self, text: str, start: int, at: Location) -> int:
        depth = 0
        for i in range(start, len(text)):
            depth += text.startswith("${", i) - (text[i] == "}")
            if depth == 0 and i > start:
                return i
        raise self.error(f"has an unfinished reference at {'.'.join(at)}: {text!r}")

    def _refer(
        self, inside: str, at: Location, trail: tuple[Location, ...]
    ) -> tuple[Any, Location]:
        """Return what a reference means; ``inside`` is the text between its braces."""
        if "${" in inside:
            inside = str(self._interpolate(inside, at, trail)[0])
        inside = inside.strip()
        if ":" in inside:
            raise self.error(
                f"takes {'.'.join(at)} from outside the file, by ${{{inside}}}, which is not done"
            )
        dots = len(inside) - len(inside.lstrip("."))
        base = at[:-dots] if dots else ()
        keys = inside[dots:].replace("[", ".").replace("]", "").split(".")
        try:
            node, found_at = self._walk(keys, base, trail)
        except KeyError:
            raise self.error(
                f"refers to ${{{inside}}} at {'.'.join(at)}, and there is no such key"
            ) from None
        return self._shallow(node, found_at, trail)

    def _walk(
        self, keys: list[str], base: Location, trail: tuple[Location, ...]
    ) -> tuple[Any, Location]:
        """Step from the root through ``base`` and ``keys``; KeyError where there is nothing."""
        node: Any = self.tree
        at: Location = ()
        for key in (*base, *keys):
            node, at = self._shallow(node, at, trail)
            at = (*at, key)
            node = _child(node, key)
        return node, at


def _child(node: Any, key: str) -> Any:
    if isinstance(node, list) and key.isdecimal() and int(key) < len(node):
        return node[int(key)]
    if isinstance(node, dict):
        if key in node:
            return node[key]
        for own, value in node.items():
            if not isinstance(own, str) and str(own) == key:
                return value
    raise KeyError(key)


def _cycle(trail: tuple[Location, ...], at: Location) -> str:
    return " -> ".join(".".join(place) for place in (*trail[trail.index(at) :], at))

"""What a training checkpoint may name besides tensors, and what is put in its place: nothing.

The configuration in a training checkpoint is a pickled OmegaConf object. `torch.load` is told
that its class names mean the classes below, which keep their state and do nothing with it: no code
of OmegaConf, or of whoever claims its names, runs.
"""

from typing import Any


class Note:
    """Takes any arguments and keeps any state."""

    def __new__(cls, *_: object, **__: object) -> "Note":
        """Ignore what the pickled class was called with."""
        return super().__new__(cls)

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        """Keep the attributes of a node of OmegaConf: ``_content`` or ``_val``."""
        if isinstance(state, dict):
            self.__dict__.update(state)


def empty_dict(*_: object) -> dict[Any, Any]:
    """Stand in for a defaultdict, whose factory is not wanted."""
    return {}


def joined_path(*parts: object) -> str:
    """Stand in for a path."""
    return "/".join(str(part) for part in parts)


NODES = (
    *("dictconfig.DictConfig", "listconfig.ListConfig"),
    *("base.ContainerMetadata", "base.Metadata", "base.Node", "base.Container", "base.UnionNode"),
    *("nodes.ValueNode", "nodes.AnyNode", "nodes.StringNode", "nodes.PathNode"),
    *("nodes.IntegerNode", "nodes.FloatNode", "nodes.BooleanNode", "nodes.BytesNode"),
    *("nodes.InterpolationResultNode", "nodes.EnumNode"),
)
TYPES = (
    *("typing.Any", "typing.Dict", "typing.List", "typing.Optional", "typing.Tuple"),
    *("typing.Union", "builtins.bool", "builtins.bytes", "builtins.dict", "builtins.float"),
    *("builtins.int", "builtins.list", "builtins.str", "builtins.tuple"),
)
# Scores of the history that were numpy numbers: notes of training, which no model is built from.
NUMBERS = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar", "numpy.dtype")

STAND_INS: list[Any] = [
    *((Note, f"omegaconf.{name}") for name in NODES),
    *((Note, name) for name in (*TYPES, *NUMBERS)),
    (empty_dict, "collections.defaultdict"),
    *((joined_path, f"pathlib.{kind}") for kind in ("Path", "PosixPath", "PurePosixPath")),
]


def to_plain(node: object) -> Any:
    """Copy a tree of mappings, sequences and OmegaConf nodes as dicts, lists and values.

    Interpolations stay the strings they are. Real OmegaConf objects are read in the same way, by
    their attributes, so that nothing is resolved.
    """
    attributes = getattr(node, "__dict__", {})
    if "_content" in attributes:
        return to_plain(attributes["_content"])
    if "_val" in attributes:
        return attributes["_val"]
    if isinstance(node, dict):
        return {key: to_plain(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [to_plain(value) for value in node]
    return node

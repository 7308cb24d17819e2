"""Read sub-trees of a published configuration by tables: published key -> keyword and reader."""

from collections.abc import Collection, Mapping
from typing import Any

from audiogen.released.keys import Read
from audiogen.released.xp_cfg import XpCfg

Table = Mapping[str, tuple[str, Read]]


def read_mapping(cfg: XpCfg, path: str) -> dict[str, Any]:
    """Return the mapping at a dotted path, with everything in it resolved.

    Raises:
        CheckpointError: if it is missing, or no mapping.
    """
    tree = cfg.get(path)
    if not isinstance(tree, dict):
        raise cfg.error(f"has {path} {tree!r} instead of a mapping")
    return dict(tree)


def read_table(
    cfg: XpCfg,
    path: str,
    tree: Mapping[str, Any],
    table: Table,
    *,
    unsaid: Mapping[str, Any],
    known: Table | None = None,
) -> dict[str, Any]:
    """Read a whole table; what ``tree`` lacks must be among ``unsaid``.

    Args:
        cfg: named in errors.
        path: of ``tree``, for errors.
        tree: published keys and their values.
        table: what must be there.
        unsaid: values of keys of ``table`` that may be left out.
        known: what may be there besides.

    Returns:
        Keywords and their values.

    Raises:
        CheckpointError: naming keys that are missing, unknown, or of another kind.
    """
    missing = sorted(table.keys() - tree.keys() - unsaid.keys())
    if missing:
        raise cfg.error(f"lacks {', '.join(f'{path}.{key}' for key in missing)}")
    filled = {key: unsaid[key] for key in table if key not in tree}
    return read_some(cfg, path, {**filled, **tree}, {**table, **(known or {})})


def read_some(cfg: XpCfg, path: str, tree: Mapping[str, Any], table: Table) -> dict[str, Any]:
    """Read what is there; raises as `read_table` does."""
    refuse_unknown(cfg, path, tree, table)
    return {
        table[key][0]: read_value(cfg, f"{path}.{key}", value, table[key][1])
        for key, value in tree.items()
    }


def refuse_unknown(cfg: XpCfg, path: str, tree: Mapping[str, Any], known: Collection[str]) -> None:
    """Refuse keys that nobody here would heed.

    Raises:
        CheckpointError: naming them.
    """
    unknown = sorted(str(key) for key in tree if key not in known)
    if unknown:
        raise cfg.error(f"has keys not known here: {', '.join(f'{path}.{key}' for key in unknown)}")


def read_value(cfg: XpCfg, path: str, value: Any, read: Read) -> Any:
    """Apply a reader; what it refuses is named by its path.

    Raises:
        CheckpointError: naming path and value.
    """
    try:
        return read(value)
    except (TypeError, ValueError, OverflowError) as error:
        expected = error.args[0] if isinstance(error, TypeError) else "a whole number"
        raise cfg.error(f"has {path} {value!r} where {expected} is expected") from None

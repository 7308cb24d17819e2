"""Which run is this? A name and eight hex digits of everything that can change its result.

Two starts of the same configuration land in one folder and continue each other; a changed value,
a changed manifest or other tokens give another folder. The clock never enters.
"""

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from audiogen.files import file_hash

# Where things lie, what is shown and how often it is saved: none of it changes a trained weight.
UNIMPORTANT = (
    "hydra",
    "paths",
    "folder",
    "logger",
    "resume_from",
    "export_to",
    "card",
    "codec_folder",
    "module.codec_folder",
    "text.cache",
    "text.encoders.description.cache",
    "lm.text_cache",
    "module.metrics",
    "module.checkpoint_blocks",
    "module.matrix_rate",
    "samples",
    "scores",
    "alarms",
    "checkpoint_every",
    "data.num_workers",
    "trainer.default_root_dir",
    "trainer.enable_progress_bar",
    "trainer.enable_model_summary",
)

# Others refer to these, and count with what they make of it.
REFERRED = ("paths", "updates")

# In folders of transformers and in published ones, nothing else says which weights they are.
WEIGHTS = (".safetensors", ".bin", ".th")


def register_resolvers() -> None:
    """Make ``${run_id:}`` known to OmegaConf; calling it twice is harmless."""
    OmegaConf.register_new_resolver("run_id", run_id, replace=True)


def run_id(*, _root_: DictConfig) -> str:
    """Return ``<name>-<8 hex digits>`` for a whole configuration."""
    return f"{_root_.get('name') or 'run'}-{config_hash(_root_)[:8]}"


def config_hash(cfg: DictConfig) -> str:
    """Return the sha256 of what decides the result of a run, 64 hex digits.

    Hashed is the canonical JSON of the resolved configuration without `UNIMPORTANT`. Folders under
    ``paths`` count as symbols, so a move to another disk is the same run. Files named by the root
    key ``inputs`` (a manifest, a folder of tokens, a codec) count by content instead of by path.
    """
    pruned = OmegaConf.to_container(cfg, resolve=False)
    assert isinstance(pruned, dict)
    folders = pruned.get("paths") or {}
    _add_codec_of_sounds(pruned)
    for key in UNIMPORTANT:
        _drop(pruned, key)
    real = _resolved(pruned, folders)
    symbols = _resolved(pruned, {key: f"<paths.{key}>" for key in folders})
    contents = _contents(real.get("inputs") or [], symbols.get("inputs") or [])
    text = json.dumps(_by_content(symbols, contents), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _add_codec_of_sounds(pruned: dict) -> None:
    """Count the codec among the inputs where training encodes with it: codes name theirs."""
    data = (pruned.get("data") or {}).get("train") or {}
    if pruned.get("codec_folder") and "manifest" in data:
        pruned["inputs"] = [*(pruned.get("inputs") or []), pruned["codec_folder"]]


def resolved(cfg: DictConfig) -> dict[str, Any]:
    """Return the configuration as plain values, interpolations replaced, without Hydra's own part.

    Raises:
        omegaconf.errors.MissingMandatoryValue: if a required value (``???``) was not given.
    """
    job = OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])
    container = OmegaConf.to_container(job, resolve=True, throw_on_missing=True)
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}


def with_places(tree: Any) -> Any:
    """Return plain values in which text encoders in folders of this disk have absolute names.

    A run is exported from any folder, and its id is of the names as they were given.
    """
    if isinstance(tree, list):
        return [with_places(item) for item in tree]
    if not isinstance(tree, dict):
        return tree
    changed = {key: with_places(value) for key, value in tree.items()}
    name = changed.get("name")
    if str(changed.get("_target_")).startswith("audiogen.text.") and isinstance(name, str):
        place = Path(name).expanduser()
        changed["name"] = str(place.resolve()) if place.is_dir() else name
    return changed


def module_config(cfg: DictConfig) -> DictConfig:
    """Return ``cfg.module``, its text encoder as `with_places` says."""
    if cfg.get("text") is not None:
        cfg = cfg.copy()
        OmegaConf.set_struct(cfg, False)
        cfg.text = with_places(OmegaConf.to_container(cfg.text, resolve=False))
    return cfg.module


def _resolved(pruned: dict, folders: dict[str, Any]) -> dict[str, Any]:
    """Resolve a pruned configuration with ``folders`` standing in for ``paths``."""
    container = OmegaConf.to_container(OmegaConf.create({**pruned, "paths": folders}), resolve=True)
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items() if key not in REFERRED}


def _drop(tree: dict, key: str) -> None:
    *parents, last = key.split(".")
    for parent in parents:
        tree = tree.get(parent) or {}
    if isinstance(tree, dict):
        tree.pop(last, None)


def _contents(real: list, symbols: list) -> dict[str, str]:
    """Map each input, as it is written in the hashed configuration, to a digest of its content."""
    pairs = [(Path(path), name) for path, name in zip(real, symbols, strict=True) if path]
    return {name: f"sha256:{_digest_path(path)}" for path, name in pairs if path.exists()}


def _by_content(value: Any, contents: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _by_content(item, contents) for key, item in value.items()}
    if isinstance(value, list):
        return [_by_content(item, contents) for item in value]
    return contents.get(value, value) if isinstance(value, str) else value


def _digest_path(path: Path) -> str:
    """Digest a file; of a folder the weights, and JSON files, which describe the rest."""
    describing = (".json", *WEIGHTS)
    files = [path]
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix in describing)
    digest = hashlib.sha256()
    for file in files:
        status = file.stat()
        digest.update(_digest_file(file, status.st_mtime_ns, status.st_size).encode())
    return digest.hexdigest()


@lru_cache(maxsize=64)
def _digest_file(path: Path, modified: int, size: int) -> str:
    """Digest one file; time and size are only the key under which the answer is remembered."""
    return file_hash(path)


# Here and not only in `launch`: a job on a cluster unpickles its function, which imports this, and
# then resolves its run folder.
register_resolvers()

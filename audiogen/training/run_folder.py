"""The folder of a run: whose it is, whether it is finished, and that one process works in it."""

import fcntl
import hashlib
import json
import math
import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from audiogen.files import replacing
from audiogen.training.identity import config_hash, resolved, with_places
from audiogen.training.launch import RunError


class RunFolder:
    """config.yaml (resolved), run.json (identity), metrics.csv, checkpoints/, done.json."""

    def __init__(self, path: str | Path, *, config_hash: str) -> None:
        self.path = Path(path)
        self.config_hash = config_hash
        self.checkpoints = self.path / "checkpoints"
        self.new = False  # whether this process made it

    @classmethod
    def claim(cls, cfg: DictConfig) -> "RunFolder":
        """Open the folder that ``cfg`` names, new or its own.

        Raises:
            RunError: if it belongs to another configuration.
        """
        run = cls(cfg.folder, config_hash=config_hash(cfg))
        facts = _read_json(run.path / "run.json", {"config_hash": str})
        if facts is not None and facts["config_hash"] != run.config_hash:
            raise RunError(
                f"{run.path} belongs to another configuration (config hash "
                f"{facts['config_hash'][:8]}, this one is {run.config_hash[:8]}): choose another "
                f"folder, or compare with {run.path / 'config.yaml'}"
            )
        if facts is None:
            write_text(run.path / "config.yaml", OmegaConf.to_yaml(with_places(resolved(cfg))))
            facts = {"name": cfg.name, "config_hash": run.config_hash, "command": _command()}
            _write_json(run.path / "run.json", facts)
            run.new = True
        return run

    def abandon(self) -> None:
        """Remove what `claim` wrote, if this process did and no update was made."""
        history = self.path / "metrics.csv"
        begun = self.checkpoints.is_dir() or (history.is_file() and history.stat().st_size)
        if not self.new or begun:
            return
        with suppress(RunError, OSError), self.locked():  # not while another process trains here
            for name in ("metrics.csv", "config.yaml", "run.json", "lock"):
                (self.path / name).unlink(missing_ok=True)
            self.path.rmdir()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes out; the lock falls with the process, however it ends.

        Raises:
            RunError: if another process trains in this folder.
        """
        with (self.path / "lock").open("a") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise RunError(
                    f"another process is training in {self.path}: wait for it or stop it"
                ) from error
            except OSError:
                pass  # a file system without locks
            yield

    def finished(self, export_to: str | None) -> dict[str, float] | None:
        """Return the metrics of a finished run, None if there is something left to do.

        A finished run whose export is missing, or was overwritten since, has its export left.
        """
        done = _read_json(self.path / "done.json", {"metrics": dict, "exports": dict})
        if done is None:
            return None
        if export_to and done["exports"].get(export_to, "never") != _digest(export_to):
            return None
        return dict(done["metrics"])

    def finish(self, metrics: Mapping[str, float], export_to: str | None) -> None:
        """Write done.json, the last act of a run."""
        done = _read_json(self.path / "done.json", {"exports": dict}) or {"exports": {}}
        exports = {**done["exports"], **({export_to: _digest(export_to)} if export_to else {})}
        known = {
            name: value for name, value in metrics.items() if math.isfinite(value)
        }  # as JSON is
        _write_json(self.path / "done.json", {"metrics": known, "exports": exports})


def _digest(export_to: str) -> str | None:
    """Digest the config.json of an exported model, which holds the hashes of its tensors."""
    config = Path(export_to) / "config.json"
    return hashlib.sha256(config.read_bytes()).hexdigest() if config.is_file() else None


def _command() -> str:
    return shlex.join(["python", *sys.argv])


def _read_json(path: Path, kinds: Mapping[str, type]) -> dict[str, Any] | None:
    """Read an object with keys of these types, or None if there is no such file."""
    if not path.is_file():
        return None
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunError(f"{path} is not JSON ({error}): remove the run folder") from error
    if not isinstance(facts, dict) or not all(
        isinstance(facts.get(key), kind) for key, kind in kinds.items()
    ):
        raise RunError(f"{path} is damaged: it needs {', '.join(kinds)}: remove the run folder")
    return facts


def _write_json(path: Path, facts: Mapping[str, Any]) -> None:
    write_text(path, json.dumps(facts, indent=2) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")

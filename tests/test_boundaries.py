"""The import rules and the size rules of CONTRIBUTING.md, checked on what is really loaded."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = {"lightning", "pytorch_lightning", "hydra", "omegaconf", "wandb"}
CODE = ("audiogen", "evaluation", "scripts", "recipes", "tests")

# Imports one module after the other in one interpreter; prints what each one added, or its error.
IMPORT_IN_TURN = """
import importlib, json, sys, traceback
loaded = {}
for name in sys.argv[1:]:
    before = set(sys.modules)
    try:
        importlib.import_module(name)
        loaded[name] = sorted({module.partition(".")[0] for module in set(sys.modules) - before})
    except Exception:
        loaded[name] = traceback.format_exc()
print(json.dumps(loaded))
"""


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def light_modules() -> list[str]:
    names = [module_name(path) for path in sources("audiogen", "evaluation")]
    return [name for name in names if not name.startswith("audiogen.training")]


def imported_names(path: Path) -> set[str]:
    """Every module a file imports, at its top or inside a function, as dotted names."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}:{node.lineno}: relative import; write the full name"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def is_inside(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def load(*names: str) -> dict[str, list[str] | str]:
    """Import modules in a fresh interpreter; return the top-level names each one added."""
    command = [sys.executable, "-c", IMPORT_IN_TURN, *names]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def names_added_by(module: str, loaded: dict[str, list[str] | str]) -> set[str]:
    added = loaded[module]
    assert isinstance(added, list), f"{module} cannot be imported:\n{added}"
    return set(added)


@pytest.fixture(scope="module")
def loaded():
    return load(*light_modules())


@pytest.mark.parametrize("module", light_modules())
def test_import_stays_light(module, loaded):
    """The first module of the list that pulls the training stack in is the one that fails."""
    assert not HEAVY & names_added_by(module, loaded)


def test_transformers_is_loaded_by_the_first_network_not_by_an_import(loaded):
    ours = [module for module in light_modules() if is_inside(module, "audiogen")]
    assert "audiogen.text.t5" in ours
    assert not [name for name in ours if "transformers" in names_added_by(name, loaded)]


@pytest.mark.parametrize("module", ["audiogen", "audiogen.pipeline", "audiogen.lm.model"])
def test_the_library_does_not_load_the_instrument(module):
    assert not (HEAVY | {"evaluation", "torchmetrics"}) & names_added_by(module, load(module))


def test_the_instrument_does_not_load_the_library():
    assert not (HEAVY | {"audiogen"}) & names_added_by("evaluation", load("evaluation"))


@pytest.mark.parametrize("path", sources("audiogen", "evaluation"), ids=module_name)
def test_nobody_imports_scripts_or_recipes(path):
    forbidden = ("scripts", "recipes", "tests")
    found = {n for n in imported_names(path) for package in forbidden if is_inside(n, package)}
    assert not found


@pytest.mark.parametrize("path", sources("evaluation"), ids=module_name)
def test_the_instrument_never_names_the_library(path):
    """The linter reads the same; here also a string handed to importlib counts."""
    names = imported_names(path)
    assert not {name for name in names if is_inside(name, "audiogen")}
    assert 'import_module("audiogen' not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", sources("recipes/datasets"), ids=module_name)
def test_a_dataset_knows_manifests_and_audio_only(path):
    """The procedural one also knows what it renders."""
    ours = {
        n for n in imported_names(path) if is_inside(n, "audiogen") or is_inside(n, "evaluation")
    }
    allowed = ["audiogen.data.manifest", "audiogen.audio"]
    if path.stem == "synthetic":
        allowed += ["audiogen.data.synthetic", "audiogen.data.synthetic_captions", "audiogen.rng"]
    assert not {name for name in ours if not any(is_inside(name, module) for module in allowed)}


@pytest.mark.parametrize("folder", ["embedders", "metrics"])
def test_inside_the_instrument_only_the_suite_joins(folder):
    """Embedders hold networks, metrics hold math; neither knows the other, or who calls it."""
    other = {"embedders": "metrics", "metrics": "embedders"}[folder]
    strangers = [f"evaluation.{name}" for name in (other, "suite", "report", "compare")]
    found = {
        f"{module_name(path)} imports {name}"
        for path in sources(f"evaluation/{folder}")
        for name in imported_names(path)
        if any(is_inside(name, stranger) for stranger in strangers)
    }
    assert not found


@pytest.mark.parametrize("path", sources(*CODE), ids=module_name)
def test_files_stay_readable(path):
    """One idea per file: split at 400 lines, and no drawer for what has no name."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400
    assert path.stem not in {"utils", "util", "helpers", "common", "misc"}


@pytest.mark.parametrize("path", sources("scripts"), ids=module_name)
def test_scripts_hold_no_logic(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 40


def test_configs_stay_short():
    limits = {"root": 40, "group": 20, "experiment": 25}
    for path in (ROOT / "conf").rglob("*.yaml"):
        folder = path.relative_to(ROOT / "conf").parts[0]
        kind = (
            "root" if folder == path.name else "experiment" if folder == "experiment" else "group"
        )
        lines = len(path.read_text(encoding="utf-8").splitlines())
        assert lines <= limits[kind], (
            f"{path.relative_to(ROOT)} has {lines} lines, a {kind} file {limits[kind]}"
        )


def test_one_door_to_sound_files():
    """One reader and writer on each side, so that there is one place for its mistakes."""
    doors = {f"audiogen.{name}" for name in ("audio", "long_audio", "sndfile", "sound_writer")}
    doors.add("evaluation.audio")
    for path in sources("audiogen", "evaluation"):
        if module_name(path) in doors:
            continue
        assert not {n for n in imported_names(path) if is_inside(n, "audiogen.sndfile")}, path
        text = path.read_text(encoding="utf-8")
        assert "from soundfile" not in text, path
        assert not re.search(r"\bsoundfile\.(?!__libsndfile_version__)\w+\(", text), path

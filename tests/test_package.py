"""The wheel: what is in it, and that it works outside the checkout without the training stack."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run(*command: object, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{command}: {done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, ROOT, cwd=out)
    (path,) = out.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel alone, as `pip install --target` leaves it."""
    site = tmp_path_factory.mktemp("site")
    install = ("-m", "uv", "pip", "install", "--offline", "--no-deps", "--target", site, wheel)
    run(sys.executable, *install, cwd=site)
    return site


def test_holds_both_packages_whole_and_nothing_else(wheel):
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    wanted = {
        path.relative_to(ROOT).as_posix()
        for package in ("audiogen", "evaluation")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert names == wanted


def test_carries_licence_entry_point_and_extras(wheel):
    with zipfile.ZipFile(wheel) as archive:
        info = {Path(name).name: name for name in archive.namelist() if ".dist-info/" in name}
        metadata = archive.read(info["METADATA"]).decode()
        assert "MIT License" in archive.read(info["LICENSE"]).decode()
        assert "audiogen = audiogen.cli:main" in archive.read(info["entry_points.txt"]).decode()
    extras = {
        line.split()[-1] for line in metadata.splitlines() if line.startswith("Provides-Extra")
    }
    assert {"eval", "train", "dev"} <= extras


def test_imports_outside_the_checkout(site, tmp_path):
    code = "import audiogen, evaluation; print(audiogen.__file__, evaluation.__file__)"
    done = run(sys.executable, "-P", "-c", code, cwd=tmp_path, PYTHONPATH=str(site))
    assert done.stdout.split() == [
        str(site / "audiogen/__init__.py"),
        str(site / "evaluation/__init__.py"),
    ]


@pytest.mark.parametrize("package", ["audiogen", "evaluation"])
def test_command_line_outside_the_checkout(package, site, tmp_path):
    done = run(sys.executable, "-m", package, "--help", cwd=tmp_path, PYTHONPATH=str(site))
    assert done.stdout.startswith("usage: ")

"""The examples in docstrings are true: each file that has one runs as a test."""

import doctest
import importlib
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[1]


def modules_with_examples() -> list[str]:
    return [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for package in ("audiogen", "evaluation", "recipes")
        for path in sorted((ROOT / package).rglob("*.py"))
        if "    >>> " in path.read_text(encoding="utf-8")
    ]


@pytest.mark.parametrize("name", modules_with_examples())
def test_examples(name):
    module = importlib.import_module(name)
    results = doctest.testmod(module, extraglobs={"torch": torch}, verbose=False)
    assert results.attempted > 0
    assert results.failed == 0

"""Sounds to explain, with captions and a cache of their own."""

import pytest

from evaluation.explanation.sounds import Sounds
from evaluation.settings import Settings
from evaluation.sources import Sources


@pytest.fixture
def sounds(folders, tmp_path):
    reference, generated = folders
    captions = tmp_path / "captions.csv"
    captions.write_text("name,caption\n" + "".join(f"clip{i:02d},a {i}\n" for i in range(12)))
    return Sounds(
        sources=Sources(reference=reference, generated=generated, captions=captions),
        settings=Settings(cache=tmp_path / "cache"),
    )

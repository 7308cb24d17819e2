"""`import audiogen`: the public names, and next to no cost."""

import json
import subprocess
import sys

import pytest

import audiogen

MEASURE = """
import json, sys, time
import torch
before, start = set(sys.modules), time.process_time()
import audiogen
seconds = time.process_time() - start
added = sorted({name.partition('.')[0] for name in set(sys.modules) - before})
print(json.dumps([seconds, added]))
"""


def test_public_names():
    assert set(audiogen.__all__) == {
        "AudioGen",
        "Codec",
        "TokenLM",
        "read_audio",
        "write_audio",
        "__version__",
    }
    assert set(audiogen.__all__) <= set(dir(audiogen))
    for name in audiogen.__all__:
        assert getattr(audiogen, name) is not None
    assert audiogen.AudioGen.__module__ == "audiogen.pipeline"


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match="module 'audiogen' has no attribute 'MusicGen'"):
        _ = audiogen.MusicGen


def test_import_costs_next_to_nothing_beside_torch():
    done = subprocess.run(
        [sys.executable, "-c", MEASURE], capture_output=True, text=True, check=True
    )
    seconds, added = json.loads(done.stdout)
    assert seconds < 0.5
    assert not {"lightning", "hydra", "omegaconf", "wandb", "transformers", "torchaudio"} & set(
        added
    )

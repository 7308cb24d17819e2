"""`pip install audiogen` without extras: sound comes out where the other packages do not exist."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

# Makes the one finder of installed packages blind to what only the extras install.
DENY_EXTRAS = """
from importlib.machinery import PathFinder

EXTRAS = {
    "hear21passt", "hydra", "jinja2", "lightning", "matplotlib", "omegaconf", "pytorch_lightning",
    "submitit", "tensorboard", "timm", "torchdata", "torchmetrics", "torchvision", "wandb",
}
find_spec = PathFinder.find_spec

def find_core(name, path=None, target=None):
    return None if name.partition(".")[0] in EXTRAS else find_spec(name, path, target)

PathFinder.find_spec = find_core
"""

GENERATE = """
import audiogen
import torch
from audiogen.text.hashed import HashedEncoder

codec = audiogen.Codec(num_filters=2, dimension=8, lstm_layers=0, num_codebooks=2, codebook_size=16)
text = HashedEncoder(dim=8, num_buckets=32, max_words=8)
lm = audiogen.TokenLM(
    num_codebooks=2, codebook_size=16, text_dim=8, dim=16, num_layers=1, num_heads=2, delays=[0, 1]
)
model = audiogen.AudioGen(text=text, lm=lm, codec=codec)
sound = model.generate(["a dog barks"], duration=0.2, seed=1)
assert sound.shape == (1, 1, 3200), sound.shape
assert sound.dtype == torch.float32 and bool(sound.isfinite().all())
print("sound")
"""


def run_without_extras(code: str) -> str:
    command = [sys.executable, "-c", DENY_EXTRAS + code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_stand_in_really_denies():
    code = "\ntry:\n    import lightning\nexcept ModuleNotFoundError as error:\n    print(error)\n"
    assert run_without_extras(code) == "No module named 'lightning'\n"


def test_public_names_need_no_extra():
    code = "import audiogen; print(*(callable(getattr(audiogen, n)) for n in audiogen.__all__))"
    assert "AudioGen" in run_without_extras("import audiogen; print(audiogen.AudioGen)")
    printed = run_without_extras(code)
    assert printed.split().count("True") >= 5


def test_generation_needs_no_extra():
    assert run_without_extras(GENERATE).splitlines()[-1] == "sound"


def test_the_command_line_needs_no_extra():
    assert "generate" in run_without_extras(
        "from audiogen.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as done:\n    assert done.code == 0\n"
    )

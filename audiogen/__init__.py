"""Text to environmental sound: train, generate and evaluate a codec and a token language model.

Names are loaded when they are first used, so that `import audiogen` costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from audiogen.audio import read_audio, write_audio
    from audiogen.codec.model import Codec
    from audiogen.lm.model import TokenLM
    from audiogen.pipeline import AudioGen

    __version__: str

__all__ = ["AudioGen", "Codec", "TokenLM", "__version__", "read_audio", "write_audio"]

_HOMES = {
    "AudioGen": "audiogen.pipeline",
    "Codec": "audiogen.codec.model",
    "TokenLM": "audiogen.lm.model",
    "read_audio": "audiogen.audio",
    "write_audio": "audiogen.audio",
}


def __getattr__(name: str) -> object:
    if name == "__version__":
        value: object = import_module("importlib.metadata").version("audiogen")
    elif name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module 'audiogen' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

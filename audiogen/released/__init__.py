"""The published layout of AudioCraft, both ways, and EnCodec and MusicGen of transformers.

`load_released`, `export_released` and `export_transformers` are the doors; tests/audiogen/released
says what they promise.
"""

from audiogen.released.export import export_released
from audiogen.released.lm_load import load_language_model
from audiogen.released.load import load_released_codec
from audiogen.released.musicgen_write import export_transformers
from audiogen.released.whole import load_released

__all__ = [
    "export_released",
    "export_transformers",
    "load_language_model",
    "load_released",
    "load_released_codec",
]

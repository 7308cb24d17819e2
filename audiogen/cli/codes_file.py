"""A file of codes: safetensors, read and written piece by piece.

It holds "codes" int64 [1, K, T], for a codec that divides by loudness also "scale" float32
[1, 1], and as metadata the format, the codec they belong to and the length of the sound.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from audiogen.files import replacing

FORMAT = "audiogen-codes"
PIECE = 1 << 12  # frames read at once
INTEGERS = {"I64", "I32", "I16", "I8", "U8"}
NEEDED = {"codec_hash", "model", "samples"}


@dataclass(frozen=True, kw_only=True, slots=True)
class CodesFile:
    """What is known of a file of codes before its codes are read."""

    path: Path
    shape: tuple[int, ...]  # 1, K, T
    metadata: Mapping[str, str]
    scale: Tensor | None  # float32 [1, 1]

    @property
    def samples(self) -> int:
        """Length of the sound that was encoded."""
        return int(self.metadata["samples"])

    def pieces(self) -> Iterator[Tensor]:
        """Yield codes int64 [1, K, t] in order."""
        with safe_open(self.path, framework="pt") as file:
            codes = file.get_slice("codes")
            for begin in range(0, self.shape[-1], PIECE):
                yield codes[:, :, begin : begin + PIECE].long()


def open_codes(path: Path) -> CodesFile:
    """Read all of a file of codes but the codes.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not one that `audiogen encode` wrote, or is damaged.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}: check the name")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            names = set(file.keys())
            if metadata.get("format") != FORMAT or "codes" not in names:
                raise ValueError(f"{path} holds no codes: give what audiogen encode wrote")
            codes = file.get_slice("codes")
            shape, dtype = tuple(codes.get_shape()), codes.get_dtype()
            scale = file.get_tensor("scale") if "scale" in names else None
    except SafetensorError as error:
        raise ValueError(
            f"{path} is not a whole safetensors file ({error}): give what audiogen encode wrote"
        ) from error
    samples = metadata.get("samples", "")
    known = metadata.keys() >= NEEDED and samples.isdecimal() and int(samples) > 0
    sized = len(shape) == 3 and shape[0] == 1 and min(shape) > 0 and dtype in INTEGERS
    scaled = scale is None or (
        tuple(scale.shape) == (1, 1) and bool(scale.isfinite().all() and scale > 0)
    )
    if not (known and sized and scaled):
        raise ValueError(
            f"{path} is damaged: codes {dtype} of shape {list(shape)}, scale "
            f"{None if scale is None else scale.tolist()}, with {metadata}; encode the sound again"
        )
    return CodesFile(path=path, shape=shape, metadata=metadata, scale=scale)


@contextmanager
def codes_writer(
    path: Path,
    *,
    num_codebooks: int,
    num_frames: int,
    metadata: Mapping[str, str],
    scale: Tensor | None = None,
) -> Iterator[Callable[[Tensor], None]]:
    """Yield a function that appends int64 [1, K, t]; the file appears when the block ends.

    Every codebook has its own stretch of the file, so the number of frames is given beforehand.
    """
    size = 8 * num_frames  # bytes of a codebook
    head: dict[str, object] = {"__metadata__": {**metadata, "format": FORMAT}}
    head["codes"] = _entry("I64", [1, num_codebooks, num_frames], begin=0)
    if scale is not None:
        head["scale"] = _entry("F32", [1, 1], begin=num_codebooks * size)
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    start, written = 8 + len(text), 0
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)

        def append(codes: Tensor) -> None:
            nonlocal written
            for k, row in enumerate(codes[0].cpu().numpy().astype("<i8")):
                file.seek(start + k * size + 8 * written)
                file.write(row.tobytes())
            written += codes.shape[-1]

        yield append
        assert written == num_frames, f"{written} of {num_frames} frames were encoded"
        if scale is not None:
            file.seek(start + num_codebooks * size)
            file.write(scale.cpu().numpy().astype("<f4").tobytes())


def _entry(dtype: str, shape: list[int], *, begin: int) -> dict[str, object]:
    """Describe a tensor as the head of a safetensors file does."""
    count = 1
    for length in shape:
        count *= length
    end = begin + count * (8 if dtype == "I64" else 4)
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}

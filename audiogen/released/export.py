"""`Codec` -> the published layout."""

from importlib.metadata import version
from pathlib import Path

import torch

from audiogen.codec.model import Codec
from audiogen.files import replacing
from audiogen.model_folder.hub import CODEC_FILE
from audiogen.released.codec_config import write_codec_config
from audiogen.released.names import published_names
from audiogen.released.xp_cfg import dump


def export_released(codec: Codec, path: str | Path, *, dtype: torch.dtype = torch.float32) -> Path:
    """Write a codec as others publish and read theirs, whole or not at all.

    `load_released` gives it back with every keyword and every bit. What only our training knows,
    the state of its generator and the number of restarts, has no place in the layout.

    Args:
        codec: any; it is not changed.
        path: a file ending in .bin, or a folder for ``compression_state_dict.bin``.
        dtype: of the tensors; readers widen half precision.

    Returns:
        The file.
    """
    path = Path(path).expanduser()
    file = path if path.suffix == ".bin" and not path.is_dir() else path / CODEC_FILE
    own = codec.state_dict()
    state = {
        name: own[ours].detach().to("cpu", dtype).contiguous().clone()
        for name, ours in published_names(codec).items()
    }
    package = {
        "best_state": state,
        "xp.cfg": dump(write_codec_config(codec)),
        "version": f"audiogen {version('audiogen')}",
        "exported": True,
    }
    with replacing(file) as temporary, temporary.open("wb") as stream:
        torch.save(package, stream)
    return file

"""`audiogen encode` and `audiogen decode`: sound files <-> files of codes."""

import argparse
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from audiogen.audio import read_audio, write_audio
from audiogen.checkpoint import load_codec
from audiogen.cli.device import chosen_device
from audiogen.codec.model import Codec
from audiogen.files import replacing
from audiogen.model_folder.layout import write_tensors

FORMAT = "audiogen-codes"


def run(args: argparse.Namespace) -> int:
    """Encode or decode one file; print the path of the result."""
    with torch.no_grad():
        (_encode if args.command == "encode" else _decode)(args)
    print(args.out)
    return 0


def _encode(args: argparse.Namespace) -> None:
    if args.out.suffix != ".safetensors":
        raise ValueError(f"--out must end in .safetensors, got {args.out}")
    device = chosen_device(args.device)
    codec = load_codec(args.model).to(device)
    waveform, _ = read_audio(args.input, sample_rate=codec.sample_rate, channels=codec.channels)
    codes, scale = codec.encode(waveform[None].to(device))
    tensors = {"codes": codes} | ({} if scale is None else {"scale": scale})
    metadata = {
        "format": FORMAT,
        "version": "1",
        "codec_hash": codec.fingerprint(),
        "model": str(Path(args.model).absolute() if Path(args.model).exists() else args.model),
        "sample_rate": str(codec.sample_rate),
        "frame_rate": f"{codec.frame_rate:g}",
        "samples": str(waveform.shape[-1]),
    }
    with replacing(args.out) as temporary:
        write_tensors({k: v.cpu().contiguous() for k, v in tensors.items()}, temporary, metadata)


def _decode(args: argparse.Namespace) -> None:
    tensors, metadata = read_codes(args.input)
    device = chosen_device(args.device)
    codec = load_codec(args.model or metadata["model"])
    if codec.fingerprint() != metadata["codec_hash"]:
        raise ValueError(
            f"{args.input} was encoded by codec {metadata['codec_hash'][:12]}, "
            f"{args.model or metadata['model']} holds {codec.fingerprint()[:12]}: "
            "pass the --model it was encoded with"
        )
    waveform = _to_sound(codec.to(device), tensors, device)
    samples = int(metadata["samples"])
    if samples > waveform.shape[-1]:
        raise ValueError(
            f"{args.input} is damaged: its codes give {waveform.shape[-1]} of {samples} samples; "
            "encode the sound again"
        )
    write_audio(args.out, waveform[..., :samples], codec.sample_rate, clipping="rescale")


def _to_sound(codec: Codec, tensors: dict[str, Tensor], device: torch.device) -> Tensor:
    scale = tensors.get("scale")
    codes = tensors["codes"].to(device)
    return codec.decode(codes, None if scale is None else scale.to(device))[0].cpu()


def read_codes(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors and the metadata of a file of codes.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not one that `audiogen encode` wrote.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}: check the name")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(
            f"{path} is not a safetensors file ({error}): give what audiogen encode wrote"
        ) from error
    if metadata.get("format") != FORMAT or "codes" not in tensors:
        raise ValueError(f"{path} holds no codes: give what audiogen encode wrote")
    samples = metadata.get("samples", "")
    whole = samples.isdecimal() and int(samples) > 0 and metadata.keys() >= {"codec_hash", "model"}
    if not whole or len(tensors["codes"]) != 1:
        raise ValueError(
            f"{path} is damaged: codes of shape {list(tensors['codes'].shape)} with {metadata}; "
            "encode the sound again"
        )
    return tensors, metadata

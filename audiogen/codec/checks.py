"""What a codec refuses to take: every message says what was expected, what came and what to do."""

import torch
from torch import Tensor

SHOWN = 3  # items named in a message


def check_tensor(value: object, *, what: str) -> None:
    """Raise ValueError if ``value`` is an array, a list or anything else but a tensor."""
    if isinstance(value, Tensor):
        return
    kind = f"{type(value).__module__}.{type(value).__name__}".removeprefix("builtins.")
    raise ValueError(
        f"expected a torch tensor of {what}, got {kind}: make one of it with torch.as_tensor"
    )


def check_waveform(waveform: Tensor, *, channels: int, like: Tensor) -> None:
    """Raise ValueError if ``waveform`` is not [B, C, T] of the dtype and on the device of ``like``.

    Looks at no value, so a GPU goes on working. float32 passes whatever the codec computes in.
    """
    check_tensor(waveform, what="samples float [B, C, T]")
    shape = list(waveform.shape)
    if waveform.ndim != 3 or shape[1] != channels:
        raise ValueError(
            f"expected a waveform [B, C, T] of {channels} channel(s), got shape {shape}: "
            "add the missing axes, or mix the channels down"
        )
    if not waveform.is_floating_point():
        raise ValueError(
            f"expected a floating point waveform in [-1, 1], got {waveform.dtype}: "
            "divide integers by their largest value"
        )
    if 0 in shape:
        raise ValueError(f"expected at least one item and one sample, got shape {shape}")
    if waveform.device != like.device:
        raise ValueError(
            f"the waveform is on {waveform.device} and the codec on {like.device}: "
            f"move one of them, for example waveform.to({str(like.device)!r})"
        )
    known = waveform.dtype in (torch.float32, like.dtype)
    if not known and not torch.is_autocast_enabled(waveform.device.type):
        raise ValueError(
            f"expected a waveform of {like.dtype}, as the codec is, got {waveform.dtype}: "
            "convert it with .float()"
        )


def check_samples(waveform: Tensor) -> None:
    """Raise ValueError if samples of float [B, C, T] are NaN or infinite; waits for a GPU.

    One of them would spread over every later frame of its item, as codes of nothing.
    """
    if waveform.isfinite().all():
        return
    samples = waveform[0].numel()
    nan = waveform.isnan().sum(dim=(1, 2)).tolist()
    infinite = waveform.isinf().sum(dim=(1, 2)).tolist()
    bad = [(i, n, inf) for i, (n, inf) in enumerate(zip(nan, infinite, strict=True)) if n or inf]
    shown = "; ".join(f"item {i}: {n} NaN, {inf} infinite" for i, n, inf in bad[:SHOWN])
    more = f"; and {len(bad) - SHOWN} more items" if len(bad) > SHOWN else ""
    raise ValueError(
        f"{len(bad)} of {len(waveform)} items have samples that are not finite, of {samples} "
        f"samples each ({shown}{more}): repair these sounds or leave them out"
    )


def check_encoded(latents: Tensor, scale: Tensor | None, waveform: Tensor) -> None:
    """Raise ValueError if finite samples became latents, or a scale, that are not finite."""
    broken = ~latents.isfinite().flatten(1).all(dim=1)
    if scale is not None:
        broken = broken | ~scale.isfinite().all(dim=1)
    if not broken.any():
        return
    item = int(broken.nonzero()[0])
    raise ValueError(
        f"item {item} cannot be encoded: its samples reach {float(waveform[item].abs().max()):.3g},"
        " which overflows inside the codec; scale it to [-1, 1] (if it is in that range, the "
        "codec's weights are not finite)"
    )


def check_decoded(waveform: Tensor) -> None:
    """Raise ValueError if good codes became samples that are not finite; waits for a GPU."""
    if waveform.isfinite().all():
        return
    item = int((~waveform.isfinite()).flatten(1).any(dim=1).nonzero()[0])
    raise ValueError(
        f"item {item} decodes to samples that are not finite: the codec's weights are not, or make "
        "them overflow; load the codec again, or another one"
    )


def check_rate(sample_rate: float | None, *, expected: int) -> None:
    """Raise ValueError for another rate than the codec's; None was not told."""
    if sample_rate is not None and sample_rate != expected:
        raise ValueError(
            f"the waveform is at {sample_rate} Hz and this codec at {expected} Hz: resample it, "
            "for example with audiogen.resampling.resample"
        )


def check_codes(codes: Tensor, *, num_codebooks: int, codebook_size: int) -> None:
    """Raise ValueError if ``codes`` are not integers [B, K, T] within the codebooks."""
    check_tensor(codes, what="codes [B, K, T]")
    shape = list(codes.shape)
    kind = codes.is_floating_point() or codes.is_complex() or codes.dtype == torch.bool
    if codes.ndim != 3 or kind:
        raise ValueError(f"expected integer codes [B, K, T], got {codes.dtype} of shape {shape}")
    if 0 in shape:
        raise ValueError(f"expected at least one item, codebook and frame, got shape {shape}")
    if shape[1] > num_codebooks:
        raise ValueError(
            f"codes have {shape[1]} codebooks, this codec was trained with "
            f"{num_codebooks}: did another codec encode, or are the axes swapped?"
        )
    low, high = (int(value) for value in codes.long().aminmax())
    if low < 0 or high >= codebook_size:
        raise ValueError(
            f"codes must be in [0, {codebook_size}), got {low} to {high}"
            f"{_places((codes < 0) | (codes >= codebook_size))}: "
            "remove special tokens before decoding"
        )


def check_scale(scale: Tensor | None, *, renormalize: bool, batch: int) -> None:
    """Raise ValueError unless there is a scale, positive [B, 1], just where the codec divides."""
    if not renormalize:
        if scale is not None:
            raise ValueError(
                "this codec does not divide by loudness (renormalize=False), yet a scale was "
                "given: leave it out, or use the codec that encoded"
            )
        return
    if scale is None:
        raise ValueError(
            "this codec divides every sound by its loudness (renormalize=True): give decode() the "
            "scale that encode() returned, or torch.ones(B, 1) for an RMS of 1"
        )
    check_tensor(scale, what="scales float [B, 1]")
    if list(scale.shape) != [batch, 1] or not scale.is_floating_point():
        raise ValueError(
            f"expected a floating point scale [B, 1] of {batch} item(s), got {scale.dtype} "
            f"of shape {list(scale.shape)}"
        )
    good = scale.isfinite() & (scale > 0)
    if not good.all():
        item = int((~good).nonzero()[0, 0])
        raise ValueError(
            f"scale must be finite and above 0, got {float(scale[item])} for item {item}"
        )


def _places(outside: Tensor) -> str:
    """Name how many codes of which items are outside."""
    counts = outside.sum(dim=(1, 2)).tolist()
    bad = [(item, count) for item, count in enumerate(counts) if count]
    shown = ", ".join(f"{count} in item {item}" for item, count in bad[:SHOWN])
    return f" ({shown}{', ...' if len(bad) > SHOWN else ''})"

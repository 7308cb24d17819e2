"""The device that someone names."""

import torch


def usable_device(device: str | torch.device) -> torch.device:
    """Return a device on which tensors can be made.

    Raises:
        ValueError: if torch does not know it, cannot use it here, or it holds no values.
    """
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device {device} cannot be used ({reason}): try cpu") from error
    if found.type == "meta":
        raise ValueError(f"device {device} cannot be used (it holds no values): try cpu")
    return found

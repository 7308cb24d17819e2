"""The device that `--device` names."""

import torch

from audiogen.device import usable_device


def chosen_device(name: str) -> torch.device:
    """Return the device of a name; "auto" is a GPU if there is one.

    Raises:
        ValueError: if torch does not know the name, or cannot use the device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return usable_device(name)
    except ValueError as error:
        raise ValueError(f"--{error}") from error

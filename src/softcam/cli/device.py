"""Where a command computes."""

from __future__ import annotations

import torch

from softcam.errors import ConfigError


def choose_device(name: str | None) -> torch.device:
    """Return the device of that name, or a GPU where there is one.

    Raises:
        ConfigError: This machine has no such device.
    """
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"--device is {name}, which this machine does not have; leave it out, or use cpu") from error

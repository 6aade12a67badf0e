"""State dicts of others: read without running what is in them, and put into the network that they are of."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

WRAPPED = ("model", "state_dict", "model_state_dict", "weights")
"""What files that hold more than a state dict call it."""
DISTRIBUTED = "module."
"""How names begin that a network had in several processes."""


def read_state(path: Path) -> dict[str, Tensor]:
    """The state dict in a file of torch or of safetensors.

    Raises
    ------
    ValueError
        If it holds anything but tensors and plain values, which could run code when it is read, or no state dict.
    """
    if path.suffix.lower() == ".safetensors":
        from safetensors import SafetensorError  # noqa: PLC0415
        from safetensors.torch import load_file  # noqa: PLC0415

        try:
            return dict(load_file(path))
        except SafetensorError as error:
            raise ValueError(f"{path.name} is no file of safetensors: {error}") from error
    try:
        stored: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path.name} holds more than tensors, and reading that could run code: ask its makers for a state dict or "
            f"safetensors ({error!s:.200})"
        ) from error
    except (RuntimeError, EOFError, ValueError, AttributeError, KeyError, IndexError) as error:
        raise ValueError(f"{path.name} is no file of torch: {error!s:.200}") from error
    for name in WRAPPED:
        if isinstance(stored, Mapping) and isinstance(stored.get(name), Mapping):
            stored = stored[name]
    if not isinstance(stored, Mapping) or not stored or not all(isinstance(v, Tensor) for v in stored.values()):
        raise ValueError(f"{path.name} holds no state dict, that is names with tensors")
    return {str(name).removeprefix(DISTRIBUTED): value for name, value in stored.items()}


def put_state(network: nn.Module, state: Mapping[str, Tensor], name: str) -> None:
    """Put a state dict into its network.

    Raises
    ------
    ValueError
        If names or shapes differ; the message names some.
    """
    own = nn.Module.state_dict(network)
    missing, other = sorted(set(own) - set(state)), sorted(set(state) - set(own))
    sizes = [k for k in sorted(set(own) & set(state)) if own[k].shape != state[k].shape]
    if missing or other or sizes:
        parts = [
            f"{len(ks)} {what}, such as {ks[0]}"
            for ks, what in ((missing, "lack"), (other, "are unknown"), (sizes, "have other shapes"))
            if ks
        ]
        raise ValueError(f"the weights are not those of {name}: of its tensors {'; '.join(parts)}")
    nn.Module.load_state_dict(network, dict(state))

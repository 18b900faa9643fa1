"""Model and optimiser state on disk: tensors in safetensors, plain values in json. Never pickle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import has_train
from core.io.files import make_folder, write_json, write_with


def save_state(folder: Path, state: dict[str, Any]) -> None:
    """Write `state` (flat: name -> torch tensor, numpy array or plain json value) to `folder`."""
    import torch
    from safetensors.torch import save

    make_folder(folder)
    tensors, plain, numpy_keys = {}, {}, []
    for key, value in state.items():
        if isinstance(value, np.ndarray):
            numpy_keys.append(key)
            value = torch.from_numpy(np.array(value, order="C"))
        if isinstance(value, torch.Tensor):
            tensors[key] = value.detach().cpu().contiguous().clone()
        else:
            plain[key] = value
    write_with(folder / "tensors.safetensors", lambda f: (f.write(save(tensors)), None)[1])
    write_json(folder / "plain.json", {"plain": plain, "numpy": numpy_keys})


def load_state(folder: Path) -> dict[str, Any]:
    """Read what `save_state` wrote; arrays come back as the kind they were. Without torch tensors
    come back as arrays, which can be looked at.
    """
    if not has_train():
        from safetensors.numpy import load_file as load_arrays

        state: dict[str, Any] = load_arrays(folder / "tensors.safetensors")
        state.update(json.loads((folder / "plain.json").read_text())["plain"])
        return state
    from safetensors.torch import load_file

    extra = json.loads((folder / "plain.json").read_text())
    tensors: dict[str, Any] = load_file(folder / "tensors.safetensors")
    for key in extra["numpy"]:
        tensors[key] = tensors[key].numpy()
    return {**tensors, **extra["plain"]}


def add_prefix(prefix: str, values: dict[str, Any]) -> dict[str, Any]:
    """`values` with every key put under `prefix.`; `take_prefix` is its inverse."""
    return {f"{prefix}.{k}": v for k, v in values.items()}


def take_prefix(prefix: str, state: dict[str, Any]) -> dict[str, Any]:
    """Return the entries of `state` under `prefix.`, with the prefix removed."""
    return {k[len(prefix) + 1 :]: v for k, v in state.items() if k.startswith(prefix + ".")}

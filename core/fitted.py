"""What a fitted method has learned: its attributes whose names end in an underscore, as a flat dict
for the disk and back.

Kept are networks (built again by the method's `make_<name>()`), parts with a `state` and a
`restore` of their own, models of earlier runs, tensors, arrays, plain json values, and lists,
tuples and dicts of these. Each stands in the state under the attribute's name without the
underscore, what it consists of behind a dot: `net_` as `net.encoder.0.weight`. The entry `fitted`
says the version of the format, what is no array or plain value, and which networks lay in memory
with channels last, as training lays them out; states of before have none, or do not say the last.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from core.artifacts import Model
from core.io.tensors import add_prefix, take_prefix

if TYPE_CHECKING:
    from core.method import Method

VERSION = 2
INDEX = "fitted"
LAST = "channels_last"  # in the index: paths of the networks laid out so
ABOUT = ("method", "params", "abilities", "input_shape", "classes")  # of a model, besides its state


def attributes(method: Method) -> dict[str, Any]:
    """Return the fitted attributes of a method, by name without the underscore, in the order
    set.
    """
    return {
        name[:-1]: value
        for name, value in vars(method).items()
        if name.endswith("_") and not name.startswith("_")
    }


def pack(values: dict[str, Any]) -> dict[str, Any]:
    """Return the flat state of fitted attributes."""
    state: dict[str, Any] = {}
    index: dict[str, Any] = {"version": VERSION, "names": list(values), "kinds": {}, LAST: []}
    for name, value in values.items():
        _pack(name, value, state, index)
    return state | {INDEX: index}


def _pack(path: str, value: Any, state: dict[str, Any], index: dict[str, Any]) -> None:
    """Put `value` into `state` under `path`, and what it is into `index`."""
    kinds = index["kinds"]
    if _is_network(value):
        kinds[path] = "network"
        if _has_channels_last(value):
            index[LAST].append(path)
        state |= add_prefix(path, value.state_dict())
    elif isinstance(value, Model):
        kinds[path] = "model"
        state |= {path: _about(value), **add_prefix(path, value.state)}
    elif hasattr(value, "state") and hasattr(type(value), "restore"):
        kinds[path] = "part"
        state |= add_prefix(path, value.state())
    elif isinstance(value, np.ndarray) and value.dtype == object:
        kinds[path] = "words"
        state[path] = value.tolist()
    elif isinstance(value, np.generic):
        state[path] = value.item()
    elif isinstance(value, (dict, list, tuple)) and not _is_plain(value):
        keys = list(value) if isinstance(value, dict) else len(value)
        kinds[path] = [type(value).__name__, keys]
        inside = value.values() if isinstance(value, dict) else value
        for i, one in enumerate(inside):
            _pack(f"{path}.{i}", one, state, index)
    elif isinstance(value, tuple):
        kinds[path] = "tuple"
        state[path] = list(value)
    else:
        state[path] = value


def unpack(method: Method, state: dict[str, Any]) -> None:
    """Set the fitted attributes of `method` from a state; networks last, since building them may
    need the others.
    """
    index = state.get(INDEX) or _index_of_old(method, state)
    kinds = index["kinds"]
    with_network = {path.partition(".")[0] for path, kind in kinds.items() if kind == "network"}
    for name in sorted(index["names"], key=lambda name: name in with_network):
        setattr(method, f"{name}_", _unpack(method, name, name, state, index))


def _unpack(
    method: Method, name: str, path: str, state: dict[str, Any], index: dict[str, Any]
) -> Any:
    """Return the value that stands under `path`, of the attribute `name`."""
    kind = index["kinds"].get(path)
    if kind == "network":
        net = getattr(method, f"make_{name}")()
        net.load_state_dict(take_prefix(path, state))
        # a state of before does not say how it lay; as all networks are trained, then
        if LAST not in index or path in index[LAST]:
            lay_out(net)
        return net.eval()
    if kind == "part":
        return method.parts[name].restore(take_prefix(path, state))
    if kind == "model":
        return Model(rows=np.zeros(0), **state[path], state=take_prefix(path, state))
    if kind == "words":
        return np.array(state[path], dtype=object)
    if kind == "tuple":
        return tuple(state[path])
    if isinstance(kind, list):
        what, keys = kind
        many = len(keys) if what == "dict" else keys
        inside = [_unpack(method, name, f"{path}.{i}", state, index) for i in range(many)]
        if what == "dict":
            return dict(zip(keys, inside, strict=True))
        return tuple(inside) if what == "tuple" else inside
    return state[path]


def _index_of_old(method: Method, state: dict[str, Any]) -> dict[str, Any]:
    """Return the index of a state without one (version 1), guessed from its keys: methods whose
    states held something else bring them into line in `Method.upgrade`.
    """
    names = list(dict.fromkeys(key.partition(".")[0] for key in state))
    kinds: dict[str, Any] = {}
    for name in names:
        if name in state:
            known = {"shape": "tuple"}.get(name)
            if any(key.startswith(f"{name}.") for key in state):
                known = "model"
        else:
            known = "part" if name in method.parts else "network"
        if known is not None:
            kinds[name] = known
    return {"version": 1, "names": names, "kinds": kinds}


def lay_out(net: Any) -> None:
    """Lay a network out in memory with channels last, in which its convolutions are quicker, in
    place; one with kernels of volumes, for which there is no such order, stays as it is.
    """
    import torch

    if all(p.ndim < 5 for p in net.parameters()):
        net.to(memory_format=torch.channels_last)


def _has_channels_last(net: Any) -> bool:
    """Whether `lay_out` was done to a network: strides tell, also of kernels of one channel."""
    kernels = [(*p.shape[1:], p.stride()) for p in net.parameters() if p.ndim == 4]
    return any(
        strides == (c * h * w, 1, w * c, c) != (c * h * w, h * w, w, 1)
        for c, h, w, strides in kernels
    )


def move(value: Any, device: Any) -> Any:
    """`value` on a torch device: networks (then in evaluation mode), tensors and parts; all else as
    it is.
    """
    if _is_network(value):
        return value.to(device).eval()
    if _is_tensor(value):
        return value.to(device)
    if isinstance(value, dict):
        return {key: move(one, device) for key, one in value.items()}
    if isinstance(value, (list, tuple)) and not _is_plain(value):
        return type(value)(move(one, device) for one in value)
    if hasattr(value, "state") and not isinstance(value, Model) and hasattr(value, "to"):
        value.to(device)
    return value


def networks(value: Any) -> Iterator[Any]:
    """Yield the torch modules in a fitted attribute."""
    if _is_network(value):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from networks(one)


def _about(model: Model) -> dict[str, Any]:
    return {name: getattr(model, name) for name in ABOUT}


def _is_network(value: Any) -> bool:
    return hasattr(value, "state_dict") and hasattr(value, "parameters")


def _is_tensor(value: Any) -> bool:
    return hasattr(value, "detach") and hasattr(value, "device")


def _is_plain(value: Any) -> bool:
    """Whether json keeps it."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(one) for key, one in value.items())
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (bool, int, float, str))

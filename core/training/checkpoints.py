"""What a training needs to go on after anything: its last two states on disk, each checked by hash
before it is used.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from core.errors import UserError
from core.io import checksums
from core.io.files import move, publish, remove
from core.io.tensors import load_state, save_state

KEPT = 2
FROM_SCRATCH = (
    "start it from scratch (on the command line: lightbox runs resume RUN --from-scratch)"
)


class Checkpoints:
    """The checkpoints of one run: folders `checkpoints/<loop>-<number>`, the newest two of each
    training loop of the method.

    One is written under another name, its manifest (sha256 of each file) last, and then renamed: a
    folder of that name was once whole. What has happened to it since, the hashes tell.
    """

    def __init__(self, run: Path) -> None:
        self.folder = run / "checkpoints"

    def found(self, loop: int | None = None) -> list[Path]:
        """Checkpoints that stand, whole or not, the oldest first; those of one loop if given."""
        names = re.compile(r"\d{3}-\d{6}" if loop is None else rf"{loop:03d}-\d{{6}}")
        return sorted(p for p in self.folder.glob("*-*") if names.fullmatch(p.name))

    def save(self, loop: int, state: dict[str, Any]) -> None:
        """Keep `state` (flat; see `core.io.tensors`) as the newest of `loop`. Raises OSError; the
        ones before then still stand.
        """
        before = self.found(loop)
        number = int(before[-1].name[-6:]) + 1 if before else 0
        tmp = self.folder / "tmp"
        remove(tmp)
        save_state(tmp, state)
        checksums.write_manifest(tmp)
        publish(tmp, self.folder / f"{loop:03d}-{number:06d}")
        for old in before[: len(before) + 1 - KEPT]:
            self._drop(old)

    def load(self, loop: int, tidy: bool = True) -> tuple[dict[str, Any] | None, int]:
        """Return the newest state of `loop` that is whole, and how many newer ones were damaged
        (they are taken away where it is to `tidy`); None when there never was one.

        UserError when there are some and none is whole.
        """
        standing = self.found(loop)[::-1]
        for damaged, one in enumerate(standing):
            if whole(one):
                for bad in standing[:damaged] if tidy else ():
                    self._drop(bad)
                return load_state(one), damaged
        if standing:
            raise UserError(
                f"This run cannot go on: what it had saved is damaged on the disk; {FROM_SCRATCH}."
            )
        return None, 0

    def clear(self) -> None:
        """Remove all checkpoints of the run."""
        for one in self.found():
            self._drop(one)
        remove(self.folder)

    def _drop(self, one: Path) -> None:
        """Take one away, at once: a kill on the way must not leave a part of it that looks like a
        damaged one.
        """
        gone = self.folder / "gone"
        remove(gone)
        move(one, gone)
        remove(gone)


def whole(folder: Path) -> bool:
    """Whether every file of a checkpoint is what its manifest says."""
    return not checksums.find_wrong_files(folder)


def flat(state: Any, path: str = "") -> dict[str, Any]:
    """Return a nested state_dict as one level: lists and dicts opened, keys joined by `/`."""
    items = (
        state.items()
        if isinstance(state, dict)
        else enumerate(state)
        if isinstance(state, (list, tuple))
        else None
    )
    if items is None:
        return {path: state}
    return {
        k: v
        for key, value in items
        for k, v in flat(value, f"{path}/{key}" if path else str(key)).items()
    }


def unflat(given: dict[str, Any], like: Any) -> Any:
    """Return the nested form of what `flat` gave, tensors on the devices of those in `like`;
    optimisers start with an empty "state", so its shape comes from the keys, types of keys from
    torch's habit.
    """
    tree: dict[Any, Any] = {}
    for path, value in given.items():
        node, keys = tree, [int(k) if k.isdigit() else k for k in path.split("/")]
        for key in keys[:-1]:
            node = node.setdefault(key, {})
        node[keys[-1]] = value
    return _as(tree, like)


def _as(tree: Any, like: Any) -> Any:
    if isinstance(like, (list, tuple)):
        return type(like)(_as(tree[i], part) for i, part in enumerate(like))
    if isinstance(like, dict):
        return {k: _as(tree[k], like[k]) if k in like else tree[k] for k in tree} | {
            k: v for k, v in like.items() if k not in tree
        }
    return tree.to(like.device) if hasattr(tree, "device") and hasattr(like, "device") else tree

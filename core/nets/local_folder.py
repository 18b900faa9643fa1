"""Pre-trained networks of transformers from a folder of this machine. Nothing is fetched, no code
of the folder is run, and weights are safetensors only.
"""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from core.errors import UserError
from core.nets.language import folder_of


def require_transformers(name: str) -> None:
    """UserError where the package that opens the network `name` is not installed."""
    if find_spec("transformers") is None:
        raise UserError(
            f"{name} is opened with the package transformers, which is not installed: pip install"
            " lightbox[text]."
        )


def open_weights(folder: str, name: str, kinds: dict[str, Any], instead: str) -> Any:
    """Return the float32 network in `folder`, of one of the `kinds`: model types and the classes of
    transformers for them.

    UserError, in one sentence, when it is not there, of another kind, or not complete; `name` says
    what is wanted and `instead` what can be chosen without it.
    """
    place = Path(folder).expanduser()
    if not folder.strip() or not place.is_dir():
        said = (
            f"“{place.name[-60:]}” is no folder of this machine"
            if folder.strip()
            else "no folder is given"
        )
        raise UserError(
            f"{name} cannot be opened: {said}; name the one that holds its config.json and"
            f" model.safetensors, or choose {instead}."
        )
    folder_of(str(place.resolve()))
    kind = json.loads((place / "config.json").read_text(encoding="utf-8")).get("model_type")
    if kind not in kinds:
        types = " or ".join(f"“{k}”" for k in kinds)
        raise UserError(
            f"“{place.name[-60:]}” holds a model of type “{str(kind)[:40]}”; {name} is of type"
            f" {types}."
        )
    from transformers.utils import logging

    logging.disable_progress_bar()
    try:
        loaded: Any = kinds[kind].from_pretrained(
            str(place.resolve()),
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
        )
    except Exception as e:  # the loader raises many kinds, of several packages
        raise UserError(
            f"The weights in “{place.name[-60:]}” cannot be read ({type(e).__name__}); they may be"
            " cut off or of another version."
        ) from None
    model, about = loaded
    missing = sorted(about["missing_keys"])
    if missing:
        raise UserError(
            f"The weights in “{place.name[-60:]}” are not complete: {len(missing)} parts are"
            f" missing, the first is {missing[0][:60]}."
        )
    return model.float()

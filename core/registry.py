"""Finds methods and measures by walking their folders: to add one, add its file. No list is kept by
hand.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from core.artifacts import Model
from core.errors import UserError, require_train
from core.measure import Measure
from core.method import DemoRun, Goal, Method
from core.plugin_names import serve_plugin_names

HERE = Path(__file__).parent


@cache
def families() -> dict[str, str]:
    """Return what each family of methods is for, by folder, in the order a newcomer would ask:
    `TITLE` and `ORDER` of its `__init__`.
    """
    found = {}
    for path in (HERE / "methods").glob("*/__init__.py"):
        module = importlib.import_module(f"core.methods.{path.parent.name}")
        found[path.parent.name] = (module.ORDER, module.TITLE)
    return {name: title for name, (_, title) in sorted(found.items(), key=lambda f: f[1])}


@cache
def questions() -> dict[str, str]:
    """Return the question each family of methods answers, by folder, in the order of `families`:
    `QUESTION` of its `__init__`.
    """
    return {name: importlib.import_module(f"core.methods.{name}").QUESTION for name in families()}


def purpose(kind: type[Method]) -> tuple[int, str]:
    """Sorts methods by what they are for, then by id."""
    order = list(families())
    return order.index(kind.family) if kind.family in order else len(order), kind.id


def own_modules() -> list[tuple[Path, ModuleType]]:
    """Import the files of `core/methods`, sorted; those of a user's folders are not among them."""
    paths = sorted((HERE / "methods").glob("*/[!_]*.py"))
    return [(p, importlib.import_module(f"core.methods.{p.parent.name}.{p.stem}")) for p in paths]


@cache
def methods() -> dict[str, type[Method]]:
    """All methods by id, sorted. Folders named in LIGHTBOX_METHODS (separated as in PATH) are
    walked as well as `core/methods`.
    """
    found: dict[str, type[Method]] = {}
    for path, module in own_modules():
        _collect(module, path, found)
    for folder in filter(None, os.environ.get("LIGHTBOX_METHODS", "").split(os.pathsep)):
        serve_plugin_names()
        for path in sorted(Path(folder).glob("[!_]*.py")):
            _collect(_load(path), path, found)
    return dict(sorted(found.items()))


def _load(path: Path) -> ModuleType:
    name = f"lightbox_methods_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _collect(module: ModuleType, path: Path, found: dict[str, type[Method]]) -> None:
    for value in vars(module).values():
        if (
            isinstance(value, type)
            and issubclass(value, Method)
            and value.__module__ == module.__name__
            and not value.__name__.startswith("_")
        ):
            if value.id in found:
                raise RuntimeError(
                    f"two methods are called {value.id}: {path} and {found[value.id].__module__}"
                )
            value.family = path.parent.name
            found[value.id] = value


def open_model(model: Model, device: str = "cpu") -> Any:
    """Return the fitted `Method` of a model artifact, on `device`, its networks in evaluation mode.

    UserError when the method, or what training needs, is not installed here.
    """
    kind = method_class(model.method)
    if kind is None:
        raise UserError(f"The method “{model.method}” that made this model is not installed here.")
    method = kind(kind.Params(**model.params))
    require_train()
    import torch

    with torch.random.fork_rng(devices=[]):  # networks draw weights before they are given theirs
        method.restore(model.state)
    method.to(device)
    return method


CAN = {
    "embed": "place a case among the others",
    "decode": "draw a picture from latent coordinates",
    "predict": "name a class",
    "score": "say how unusual a case is",
}


def describe_abilities(model: Model) -> list[str]:
    """Return what `model` can do with cases that come later: each completes the sentence "it can",
    on screen and in reports.
    """
    if model.abilities:
        return [CAN[ability] for ability in model.abilities]
    kind = method_class(model.method)
    return ["be applied to other data" if kind and kind.other_data else "do nothing further"]


def method_class(id: str) -> type[Method] | None:
    """Return the method of an id; None where there is none."""
    return methods().get(id)


def suggested(goal: Goal) -> list[type[Method]]:
    """Return the methods that say they are a sensible first choice for `goal`, in their order."""
    found = [kind for kind in methods().values() if goal in kind.suggested_for]
    return sorted(found, key=lambda kind: (kind.suggested_for[goal], kind.id))


def rivals(goal: Goal) -> list[type[Method]]:
    """Return the methods that say they are the cheap rival for `goal`, by id."""
    found = [kind for kind in methods().values() if goal in kind.rival_for]
    return sorted(found, key=lambda kind: kind.id)


def demo_runs() -> list[tuple[type[Method], DemoRun]]:
    """Return what `lightbox demo` trains, in order: each method with the sample and the
    parameters.
    """
    found = [(kind, run) for kind in methods().values() for run in kind.demo]
    return sorted(found, key=lambda pair: (pair[1].order, pair[0].id))


@cache
def headlines() -> set[str]:
    """Names of the metrics that a summary of a run shows (see `Measure.headline`)."""
    return {name for measure in measures().values() for name in measure.headline}


@cache
def measures() -> dict[str, Measure]:
    """All measures by id, sorted; one instance each (they hold no state)."""
    found: dict[str, Measure] = {}
    for path in sorted((HERE / "measures").glob("[!_]*.py")):
        module = importlib.import_module(f"core.measures.{path.stem}")
        for value in vars(module).values():
            if (
                isinstance(value, type)
                and issubclass(value, Measure)
                and value.__module__ == module.__name__
                and not value.__name__.startswith("_")
            ):
                found[value.id] = value()
    return dict(sorted(found.items()))

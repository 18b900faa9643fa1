"""The contract of a method: what it takes, what it gives, its parameters, and the few functions it
implements.
"""

from __future__ import annotations

import functools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import BaseModel, ValidationError

from core import fitted
from core.artifacts import Artifact, Model
from core.data.scaling import Standardise
from core.errors import UserError
from core.params import BaseParams, EpochParams, param

if TYPE_CHECKING:
    from core.data.dataset import Dataset
    from core.stages import Control
    from core.training.run import Run

# parameters are to be had from here as well
__all__ = ["BaseParams", "Method", "Takes", "check_params", "param"]

ABILITIES = ("embed", "decode", "predict", "score")
# what only a fitted method can be asked: see `Method.__init_subclass__`
NEEDS_FIT = ("apply", *ABILITIES, "able", "axis_effects", "model", "state", "to")
Need = Literal["no", "optional", "needed"]
# what a user may want of data before knowing any method; see `Method.suggested_for`
Goal = Literal["map", "unusual", "words", "clusters", "classes"]


@dataclass(frozen=True)
class Takes:
    """What a method needs, as data: the shell reads it to offer only what fits and to say why the
    rest does not.
    """

    modalities: tuple[str, ...]
    labels: Need = "no"
    masks: Need = "no"
    groups: Need = "no"
    domains: Need = "no"
    # artifact types wanted from an earlier run: ("Embedding",), ("Model",)
    on: tuple[str, ...] = ()
    # that run must be of the same dataset; a Model may have learned from another
    on_same_data: bool = True
    # how a method of pictures that does not list "volume" takes volumes: slice by slice, or not at
    # all
    volumes: Literal["slices", "no"] = "slices"
    chosen: Need = "no"  # rows picked by the user beforehand (a saved group), given as `run.chosen`
    min_rows: int = 10
    min_size: int = 1  # smallest image side in pixels
    trains: bool = True  # iterates over batches, so it reports a loss and can be resumed
    deterministic: bool = False  # another seed gives the same result
    requires: tuple[str, ...] = ()  # import names of optional packages
    # of one pass over one input value on 2 CPU cores; for the first time estimate
    seconds_per_value: float = 2e-8


@dataclass(frozen=True)
class DemoRun:
    """A run that `lightbox demo` trains, so that there is something to look at. A method that
    builds on another run builds on the first demo run of this sample that gives what it takes.
    """

    sample: str  # id of a built-in sample
    order: int  # of all demo runs, lowest first; the app is served while later ones still train
    preset: str = ""  # "" = the defaults of the parameters
    params: dict[str, Any] = field(default_factory=dict)  # besides those of the preset


def _learning(learn: Callable[..., None]) -> Callable[..., None]:
    """`learn`, a method's `fit` or `restore`, which makes it a fitted one as it begins (networks
    are asked while they train); one that fails leaves it as it was.
    """

    @functools.wraps(learn)
    def learned(self: Method, *args: Any, **kwargs: Any) -> None:
        before, self._fitted = self._fitted, True
        try:
            learn(self, *args, **kwargs)
        except BaseException:
            self._fitted = before
            raise

    return learned


def _asking(ask: Callable[..., Any]) -> Callable[..., Any]:
    """`ask`, one of NEEDS_FIT, which says in a sentence that there is nothing to ask yet."""

    @functools.wraps(ask)
    def asked(self: Method, *args: Any, **kwargs: Any) -> Any:
        if not self._fitted:
            raise UserError(
                f"{self.title} is not fitted yet, so it has nothing to give; fit it first:"
                f' lightbox.fit("{self.id}", data).'
            )
        return ask(self, *args, **kwargs)

    return asked


class Method(ABC):
    """One system. Constructing does no work; `fit` learns from the train part; `apply` yields
    artifacts for all rows.

    Inputs are what `Dataset.inputs` gives: images in [0, 1] as [b,C,H,W], tables as raw float
    columns [b,d] with NaN for missing (float64 where `Dataset.input_type` says so; what a network
    sees is float32, as `Standardise` gives it). A fitted method may offer `embed`, `decode`,
    `predict` and `score` on float32 torch tensors in that same scale (see `Model`). The torch
    generator is already seeded when fit and apply are called, and the caller's is restored after.
    """

    id: ClassVar[str]
    title: ClassVar[str]
    family: ClassVar[str] = ""  # set by the registry: the folder's name
    seed_number: ClassVar[int | None] = None  # of the published system; None for classic tools
    takes: ClassVar[Takes]
    gives: ClassVar[tuple[type[Artifact], ...]]
    tiny: ClassVar[dict[str, Any]] = {}
    # id of the method whose run the contract suite builds this one upon, where an embedding alone
    # will not do
    tiny_on: ClassVar[str] = ""
    presets: ClassVar[dict[str, dict[str, Any]]] = {"fast": {}, "standard": {}, "thorough": {}}
    # goals this is a sensible first choice for, each with its place among the methods that are:
    # the first that fits the data, and is quick enough, is the one offered; see
    # `core.registry.suggested`
    suggested_for: ClassVar[dict[Goal, int]] = {}
    # goals this is the cheap rival for, that stored benchmarks of other methods are set against: it
    # is offered beside whichever method is (see `core.training.recommend`)
    rival_for: ClassVar[tuple[Goal, ...]] = ()
    demo: ClassVar[tuple[DemoRun, ...]] = ()
    # of the optimiser; on few rows the presets' epochs are raised until the fast preset takes this
    # many
    least_steps: ClassVar[int] = 0

    # a batch may come in parts whose gradients are gathered; no where a step does more than
    # `Run.step` does
    divides: ClassVar[bool] = True
    # several processes may train it together and learn what one does: what its network gives is of
    # each row by itself, but for `BatchNorm`, `Dropout` and torch's plain random numbers (see
    # `core.training.split_calls`)
    shares_batches: ClassVar[bool] = False
    # `apply` also describes data the fitted method has not learned from (see
    # `core.training.fit.describe`)
    other_data: ClassVar[bool] = False
    # `embed` works while `fit` trains, so measures may look along the way
    watched: ClassVar[bool] = False
    # `embed` and `score` have a gradient by their input, which explaining them needs
    gradients: ClassVar[bool] = True

    # names of parameters that have a meaning for others, "" = it has none:
    # side in pixels of the crops of pictures that training looks at, 0 = whole pictures
    crop_param: ClassVar[str] = ""
    # "slice by slice", or how volumes are taken whole
    volumes_param: ClassVar[str] = ""
    # how many latent axes it has
    latent_param: ClassVar[str] = ""

    # classes of the fitted attributes that have a `state` and a `restore` of their own, by name
    # without the underscore
    parts: ClassVar[dict[str, Any]] = {"scale": Standardise}

    Params: ClassVar[type[BaseParams]] = BaseParams

    # names of the classes `predict` speaks of, once fitted
    class_names_: list[str] = []

    _fitted = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Whatever a method writes of NEEDS_FIT refuses, in one sentence, until it is fitted."""
        super().__init_subclass__(**kwargs)
        own = vars(cls)
        for names, wrap in ((("fit", "restore"), _learning), (NEEDS_FIT, _asking)):
            for name in names:
                if callable(own.get(name)):
                    setattr(cls, name, wrap(own[name]))

    def __init__(self, params: BaseModel | None = None) -> None:
        self.params: Any = params if params is not None else self.Params()

    def __repr__(self) -> str:
        """Return the method as its constructor call, and whether it is not fitted yet."""
        given = ", ".join(f"{name}={value!r}" for name, value in self.params)
        return f"{type(self).__name__}({given})" + ("" if self._fitted else ", not fitted")

    # -- what a method writes ----------------------------------------------------------------------
    def declines(self, data: Dataset) -> str | None:
        """Why this data does not fit beyond what `takes` says, in one sentence for the user; None
        when it fits.
        """
        return None

    def declines_on(self, on: dict[str, Artifact]) -> str | None:
        """Why this earlier run (its artifacts by slug) cannot be built upon, in one sentence for
        the user; None when it can.
        """
        return None

    @abstractmethod
    def fit(self, data: Dataset, run: Run) -> None:
        """Learn from `data.part("train")` (validation rows may choose a threshold; test rows are
        never looked at).
        """

    @abstractmethod
    def apply(self, data: Dataset, run: Run) -> Iterator[Artifact]:
        """Yield artifacts for every row of `data`, networks in evaluation mode on the run's device.
        The Model, where `gives` names it, comes by itself.
        """

    def controls(self) -> list[Control]:
        """Return the settings that act on a fitted method without training again: keywords of
        `stages(x, **settings)`, which gives a list of `core.stages.Stage` for one input [1,C,H,W]
        and is written by methods that show how they come to their result.
        """
        return []

    def passes(self, n: int) -> float:
        """How many times training looks at one row, times n: the unit of the time estimate."""
        return float(n * (self.params.epochs if isinstance(self.params, EpochParams) else 1))

    def values(self, shape: tuple[int, ...]) -> float:
        """How many values of a row of this shape one such look takes in; of a picture those of a
        crop, where the method has a `crop_param`.
        """
        crop = getattr(self.params, self.crop_param) if self.crop_param else 0
        if crop and len(shape) == 3:
            shape = (shape[0], min(crop, shape[1]), min(crop, shape[2]))
        return float(max(1, math.prod(shape))) if shape else 100.0

    @_asking
    def axis_effects(self) -> Any | None:
        """Return an optional [d] array, how much each latent axis matters to the output; sorts the
        sliders. None = measure it by decoding.
        """
        return None

    # -- what comes with the contract --------------------------------------------------------------
    @property
    def abilities(self) -> list[str]:
        """What this fitted method can do, of `ABILITIES`."""
        return [a for a in ABILITIES if callable(getattr(self, a, None)) and self.able(a)]

    @_asking
    def able(self, ability: str) -> bool:
        """Whether this fitted instance can do `ability` (a joint classifier only exists where there
        were labels).
        """
        return True

    @property
    def slicewise(self) -> bool:
        """Whether this method, with its parameters, sees the slices of a volume as pictures. One
        that lists "volume" takes volumes whole, unless it has a `volumes_param`.
        """
        if self.volumes_param:
            return bool(getattr(self.params, self.volumes_param) == "slice by slice")
        if "volume" in self.takes.modalities:
            return False
        return "image" in self.takes.modalities and self.takes.volumes == "slices"

    @property
    def classes(self) -> list[str]:
        """Names of the classes `predict` speaks of."""
        return list(self.class_names_)

    @property
    def latent_axes(self) -> int:
        """How many latent axes it has; 0 where it has no `latent_param`."""
        return int(getattr(self.params, self.latent_param)) if self.latent_param else 0

    @_asking
    def state(self) -> dict[str, Any]:
        """Return what was learned, the attributes that end in an underscore, as a flat dict of
        tensors, arrays and plain values (see `core.fitted`).
        """
        return fitted.pack(fitted.attributes(self))

    @_learning
    def restore(self, state: dict[str, Any]) -> None:
        """Set what was learned from a `state`; a network `net_` is built by `self.make_net()`."""
        fitted.unpack(self, state if fitted.INDEX in state else self.upgrade(state))

    @classmethod
    def upgrade(cls, state: dict[str, Any]) -> dict[str, Any]:
        """Return a state of before states had a version, as `core.fitted` reads it."""
        return state

    def nets(self) -> list[Any]:
        """Return the torch modules of this method, kept or not."""
        return [n for value in vars(self).values() for n in fitted.networks(value)]

    @_asking
    def to(self, device: Any) -> None:
        """Move what was learned to a torch device, networks into evaluation mode."""
        for name, value in fitted.attributes(self).items():
            setattr(self, f"{name}_", fitted.move(value, device))
        for net in self.nets():
            net.to(device).eval()

    @_asking
    def model(self, data: Dataset, name: str = "") -> Model:
        """Return the fitted method as a Model artifact."""
        return Model(
            rows=data.part("train").rows,
            name=name,
            method=self.id,
            params=self.params.model_dump(mode="json"),
            abilities=self.abilities,
            input_shape=list(data.shape),
            classes=self.classes,
            state=self.state(),
        )


def check_params(kind: type[Method], given: dict[str, Any]) -> BaseModel:
    """Return the validated parameters of `kind`; UserError naming each wrong field and its
    bounds.
    """
    try:
        return kind.Params(**given)
    except ValidationError as e:
        said = []
        for problem in e.errors():
            name = ".".join(str(p) for p in problem["loc"]) or "parameters"
            if problem["type"] == "extra_forbidden":
                said.append(
                    f"“{name}” is not a parameter of {kind.id} (it has:"
                    f" {', '.join(kind.Params.model_fields) or 'none'})"
                )
            else:
                said.append(
                    f"“{name}” = {problem['input']}:"
                    f" {problem['msg'][0].lower()}{problem['msg'][1:]}"
                )
        raise UserError("; ".join(said) + ".") from None

"""What methods share that keep models of earlier runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core.method import Method
from core.registry import open_model

if TYPE_CHECKING:
    import torch


class OnModel(Method):
    """Base: fitted attributes may hold Model artifacts; `self.opened("base_")` is the fitted method
    of one, on the device of this one.
    """

    def opened(self, name: str) -> Any:
        """Return the fitted method of the model in attribute `name`; opened once for each
        device.
        """
        opened = self.__dict__.setdefault("_opened", {})
        if name not in opened:
            opened[name] = open_model(getattr(self, name), str(self.__dict__.get("_device", "cpu")))
        return opened[name]

    def to(self, device: Any) -> None:
        self._device, self._opened = device, dict[str, Any]()  # before what is kept is opened
        super().to(device)


class ChangedModel(OnModel):
    """Base of methods that change the model of an earlier run: `base_` is that Model, `inner_` the
    changed one, to which abilities are passed on.
    """

    @property
    def classes(self) -> list[str]:
        """Names of the classes of the earlier model."""
        return list(self.base_.classes) if hasattr(self, "base_") else []

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        return self.opened("inner_").embed(x)

    def predict(self, x: torch.Tensor) -> torch.Tensor:
        return self.opened("inner_").predict(x)

    def nets(self) -> list[Any]:
        return self.opened("inner_").nets()

"""What methods share that keep models of earlier runs."""

from __future__ import annotations

from typing import Any

from core.method import Method
from core.registry import open_model


class OnModel(Method):
    """Base: fitted attributes may hold Model artifacts; `self.opened("base_")` is the fitted method
    of one, on the device of this one.
    """

    def opened(self, name: str) -> Any:
        """The fitted method of the model in attribute `name`; opened once for each device."""
        kept = self.__dict__.setdefault("_opened", {})
        if name not in kept:
            kept[name] = open_model(getattr(self, name), str(self.__dict__.get("_device", "cpu")))
        return kept[name]

    def to(self, device: Any) -> None:
        super().to(device)
        self._device, self._opened = device, dict[str, Any]()

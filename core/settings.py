"""Where things are kept, and the few switches, all readable from LIGHTBOX_* environment variables."""

from __future__ import annotations

import ipaddress
from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict

OWN_NAMES = ("localhost", "127.0.0.1", "::1")  # what this machine calls itself


def loopback(address: str) -> bool:
    """Whether only this machine reaches a server that listens on `address`."""
    try:
        return address == "localhost" or ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


class Settings(BaseSettings):
    """`home` is the workspace folder; `light_jobs` is how many maps, explanations and measurements may run beside one training."""

    model_config = SettingsConfigDict(env_prefix="LIGHTBOX_", extra="ignore")

    home: Path = Path.home() / ".lightbox"
    catalogue: str = ""  # a SQLAlchemy URL where the index is not to be in the workspace; one database for each
    light_jobs: int = 1
    folders: str = ""  # roots whose folders may be chosen in the browser, separated as in PATH; none by default
    idle_seconds: float = 20.0  # the supervisor leaves after this long without work
    checkpoint_seconds: float = 30.0  # of training that a crash may cost
    compile: str = ""  # the torch.compile backend ("inductor") networks are trained with; "" = none, which is as fast or faster on a processor

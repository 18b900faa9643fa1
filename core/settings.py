"""Where things are kept, and the few switches, all readable from LIGHTBOX_* environment
variables.
"""

from __future__ import annotations

import ipaddress
import os
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

OWN_NAMES = ("localhost", "127.0.0.1", "::1")  # what this machine calls itself


def loopback(address: str) -> bool:
    """Whether only this machine reaches a server that listens on `address`."""
    try:
        return address == "localhost" or ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


class Settings(BaseSettings):
    """The switches of an installation; each is the environment variable LIGHTBOX_<NAME>."""

    model_config = SettingsConfigDict(env_prefix="LIGHTBOX_", extra="ignore", frozen=True)

    home: Path = Field(default=Path.home() / ".lightbox", description="The workspace folder.")
    catalogue: str = Field(
        default="",
        repr=False,  # it may hold a password
        description=(
            "Where the catalogue is not to be a file of SQLite in the workspace:"
            " `postgresql://USER@HOST/DATABASE`, in which each workspace has a schema of its own"
            " ([how](../how-to/postgresql.md)), or `sqlite:///PATH`, a file for one workspace."
        ),
    )
    engine: str = Field(
        default="local",
        pattern=r"^(local|ray|(ray://)?[^\s/:]+:\d+)$",
        description=(
            "Where jobs are computed: `local`, this machine; `ray`, the Ray cluster it belongs to;"
            " `HOST:PORT` or `ray://HOST:PORT`, the address of one. Imports always run here."
        ),
    )
    job_cpus: int = Field(
        default=2, ge=1, description="Processors that a training asks a cluster for."
    )
    projects: Path | None = Field(
        default=None,
        description=(
            "The folder of a server that several people share: a workspace for each project in it,"
            " and the register of who may do what. None: one workspace, one person."
        ),
    )
    people: str = Field(
        default="",
        description=(
            "A SQLAlchemy URL where the register of people is not to be in the folder of projects."
        ),
    )
    login: Literal["", "oidc", "proxy"] = Field(
        default="",
        description=(
            "How people of a shared server sign in: `oidc`, at a provider named in Streamlit's"
            " secrets (`[auth]`); `proxy`, by a header that a proxy before it sets."
        ),
    )
    secrets: Path | None = Field(
        default=None,
        description=(
            "The file (TOML) whose section `[auth]` names the provider for `oidc`: `redirect_uri`"
            " (https://THIS-SERVER/oauth2callback), `cookie_secret`, `client_id`, `client_secret`,"
            " `server_metadata_url`."
        ),
    )
    hosts: str = Field(
        default="",
        description=(
            "Names by which browsers reach a shared server, with commas, beside those of this"
            " machine for itself."
        ),
    )
    login_hours: float = Field(
        default=12.0, description="Hours after which one has to sign in again at the provider."
    )
    proxy_header: str = Field(
        default="X-Forwarded-Email",
        description="The header in which the proxy says who asks: an e-mail address.",
    )
    proxies: str = Field(
        default="127.0.0.1,::1",
        description="The addresses of proxies whose header is believed, with commas.",
    )
    admins: str = Field(
        default="",
        description=(
            "Addresses of people, with commas, to whom a shared server shows its"
            " [metrics and health](../how-to/run-a-server.md) in the browser."
        ),
    )
    metrics_token: str = Field(
        default="",
        repr=False,
        pattern=r"^$|^[!-~]{24,}$",
        description=(
            "24 letters or more: who sends them (`Authorization: Bearer ...`) is given the server's"
            " [metrics and health](../how-to/run-a-server.md)."
        ),
    )
    events: Path | None = Field(
        default=None,
        description=(
            "A file to which the server and all its processes append what happens, a line of JSON"
            " each: jobs, requests, the disk, errors, by ids and never by names."
        ),
    )
    quota: float = Field(
        default=0.0,
        ge=0.0,
        description=(
            "GiB of disk that each workspace (project) may take up; above, nothing is imported or"
            " trained. 0: as much as there is."
        ),
    )
    light_jobs: int = Field(
        default=1,
        description="How many maps, explanations and measurements may run beside one training.",
    )
    folders: str = Field(
        default="",
        description=(
            "Roots whose folders may be chosen in the browser, separated as in `PATH`; none by"
            " default."
        ),
    )
    idle_seconds: float = Field(
        default=300.0,
        description=(
            "The supervisor, and the worker it keeps ready, leave after this long without work and"
            " without anybody who looks."
        ),
    )
    standby: bool = Field(
        default=True,
        description=(
            "Keep a worker ready for the next job: it starts at once, for about 0.6 GiB of memory;"
            " none is started where less than 2 GiB are free, nor kept below 1 GiB."
        ),
    )
    checkpoint_seconds: float = Field(
        default=30.0, description="Seconds of training that a crash may cost."
    )
    screen: bool = Field(
        default=True,
        description=(
            "Let `lightbox screen`, and `lightbox.screen` in Python, see and move the open pages of"
            " the app; both read its token from the workspace."
        ),
    )
    capture: bool = Field(
        default=True,
        description=(
            "Record training steps on a GPU and replay them (CUDA graphs), which is several times"
            " as fast; off for comparison, or where a driver cannot."
        ),
    )
    maps_device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto",
        description=(
            "What draws UMAP maps: `auto`, a GPU above 200,000 cases where there is one that no"
            " training of the workspace holds; `cpu`; or `cuda`, a GPU for maps of any size. The"
            " map of a GPU is another one than that of the processors."
        ),
    )
    compile: str = Field(
        default="",
        description=(
            "The torch.compile backend (`inductor`) networks are trained with; none by default, "
            "which is as fast or faster on a processor."
        ),
    )


def read_settings() -> Settings:
    """Return the settings as they are; read again only where a variable has changed, since that
    takes 0.7 ms, and a request, a page or a change of a job's state asks for them.
    """
    return _read(tuple((k, v) for k, v in os.environ.items() if k.upper().startswith("LIGHTBOX_")))


@lru_cache(maxsize=4)
def _read(given: tuple[tuple[str, str], ...]) -> Settings:
    return Settings()

"""A served app on a workspace of its own, with every connection that it or a worker tries noted
from inside Python.
"""

import os
from pathlib import Path

import pytest

from tests.browser.conftest import (
    browser,
    page,
    serving,
    shot,
)
from tests.hostile._make import ROOT

GUARD = """
import os, sys

def _noted(event, args):
    if event in ("socket.connect", "socket.sendto", "socket.getaddrinfo"):
        told = args[0] if event == "socket.getaddrinfo" else args[1]
        host = told[0] if isinstance(told, tuple) else told
        here = (None, "", b"", "localhost", "127.0.0.1", "::1", "0.0.0.0", "::")
        of_a_file = isinstance(told, (str, bytes)) and event != "socket.getaddrinfo"
        if host not in here and not of_a_file:
            with open(os.environ["LIGHTBOX_SOCKET_LOG"], "a") as f:
                f.write(f"{event} {host} by {' '.join(sys.orig_argv[-3:])}\\n")

sys.addaudithook(_noted)
with open(os.environ["LIGHTBOX_SOCKET_LOG"] + ".pids", "a") as f:
    f.write(f"{os.getpid()} {' '.join(sys.orig_argv)}".replace(chr(10), ' ') + chr(10))
"""


@pytest.fixture(scope="module")
def guard(tmp_path_factory):
    """Environment in which every Python process notes connections to other hosts in
    `guard["LIGHTBOX_SOCKET_LOG"]`.
    """
    place = tmp_path_factory.mktemp("guard")
    (place / "sitecustomize.py").write_text(GUARD)
    return {
        "PYTHONPATH": os.pathsep.join([str(place), str(ROOT)]),
        "LIGHTBOX_SOCKET_LOG": str(place / "sockets.txt"),
        "LIGHTBOX_HOME": str(place / "home"),
    }


@pytest.fixture(scope="module")
def served(guard):
    """Address of an app whose workspace is empty at first."""
    with serving(guard, Path(guard["LIGHTBOX_SOCKET_LOG"] + ".app.log")) as url:
        yield url

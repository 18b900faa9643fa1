"""A reader in a process of its own: results come back, death and hunger become a sentence, the
network is gone.
"""

import os
import signal
import socket
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core import sandbox
from core.errors import UserError

HERE = "tests.hostile.test_sandbox"
ROOM = 1 << 30

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no such limits")


def gives(path, frame):
    return {
        "path": path,
        "frame": frame,
        "array": np.arange(3.0),
        "bytes": b"\0x",
        "words": ["ä", None, 1.5],
    }


def complains():
    raise UserError("Row 3 is odd.")


def breaks():
    raise ValueError("a bug")


def sleeps():
    time.sleep(60)


def spins():
    while True:
        pass


def eats(size):
    return len(bytearray(size))


def dies():
    os.kill(os.getpid(), signal.SIGSEGV)


def writes(path, size):
    with open(path, "wb") as f:
        f.truncate(size)


def connects(port):
    socket.create_connection(("127.0.0.1", port), 1)


def connects_below_python(port):
    """Whether a connection that no audit hook sees comes about, and whether the system bars it."""
    import ctypes
    import struct

    libc = ctypes.CDLL(None, use_errno=True)
    handle = libc.socket(2, 1, 0)
    address = struct.pack("<H", 2) + struct.pack(">H", port) + bytes([127, 0, 0, 1]) + bytes(8)
    return libc.connect(handle, address, 16) == 0


def starts_a_program():
    os.system("true")


def call(name, *args, **how):
    return sandbox.run(f"{HERE}:{name}", *args, **{"seconds": 60, "memory": ROOM} | how)


def test_values_come_back_as_they_were(tmp_path):
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", None]})
    back = call("gives", tmp_path, frame)
    assert back["path"] == tmp_path
    pd.testing.assert_frame_equal(back["frame"], frame)
    assert back["array"].tolist() == [0, 1, 2]
    assert back["bytes"] == b"\0x"
    assert back["words"] == ["ä", None, 1.5]


def test_a_preview_of_a_table_comes_through(tmp_path):
    (tmp_path / "t.csv").write_text("name,value\nx,1\ny,2\n")
    seen = sandbox.run("core.data.readers:preview", tmp_path / "t.csv", seconds=120)
    assert seen["columns"] == ["name", "value"]
    assert len(seen["head"]) == 2


def test_a_sentence_is_a_sentence_and_a_bug_is_a_bug():
    with pytest.raises(UserError, match=r"Row 3 is odd\."):
        call("complains")
    with pytest.raises(RuntimeError, match="a bug"):
        call("breaks")


@pytest.mark.parametrize(
    ("name", "args", "how", "said"),
    [
        ("sleeps", (), {"seconds": 4}, "a.csv took longer than 4 seconds"),
        ("spins", (), {"seconds": 4}, "a.csv took"),
        ("eats", (3 << 30,), {}, "more memory"),
        ("dies", (), {}, "a.csv brought the reader down"),
    ],
)
def test_hunger_and_death_are_sentences(name, args, how, said):
    with pytest.raises(UserError, match=said):
        call(name, *args, what="a.csv", **how)


def test_memory_within_the_limit_is_given():
    assert call("eats", 200 << 20) == 200 << 20


def test_files_are_bounded(tmp_path):
    with pytest.raises(RuntimeError, match="File too large"):
        call("writes", Path(tmp_path / "big"), 8 << 30)


def test_no_network_and_no_programs():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(RuntimeError, match="not allowed while reading"):
            call("connects", port)
        assert not call("connects_below_python", port) or not _namespaces()
    with pytest.raises(RuntimeError, match="not allowed while reading"):
        call("starts_a_program")


def _namespaces() -> bool:
    """Whether this system lets a process leave its network behind; asked in a process that may be
    lost.
    """
    import subprocess
    import sys

    code = "import sys; from core.sandbox import offline; sys.exit(0 if offline() else 1)"
    return subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

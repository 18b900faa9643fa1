"""requirements.lock: all that the base brings, at the versions of constraints.txt, by hash."""

import re
import subprocess
import sys

import pytest

from tests.licences import ROOT, base, closure

SMALL = "mdurl"  # pure Python, a few kB


def blocks():
    """Name -> its lines in the lock."""
    found, name = {}, ""
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        if not line.startswith(" "):
            name = line.partition("==")[0]
        found.setdefault(name, []).append(line)
    return {name: "\n".join(lines) for name, lines in found.items()}


def test_the_lock_names_all_of_the_base_at_the_versions_that_are_tested():
    lines = blocks()
    missing = sorted(set(closure(base())) - {"torch"} - set(lines))
    assert not missing, "run `make lock`"
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.M))
    tested = {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in pins.items()}
    locked = {name: line.partition("==")[2].split()[0] for name, line in lines.items()}
    assert {n: v for n, v in locked.items() if tested.get(n, v) != v} == {}, "run `make lock`"
    assert all("--hash=sha256:" in line for line in lines.values())


def fetched(folder, text):
    (folder / "some.lock").write_text(text + "\n")
    how = ["download", "-q", "--no-deps", "--require-hashes"]
    to = ["-d", str(folder / "got"), "-r", str(folder / "some.lock")]
    command = [sys.executable, "-m", "pip", *how, *to]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_pip_takes_what_the_lock_names_and_refuses_another_file(tmp_path):
    lines = blocks()
    done = fetched(tmp_path, lines[SMALL])
    if any(w in done.stderr for w in ("No matching distribution", "connection", "Connection")):
        pytest.skip("no package registry is reached from here")
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "got").iterdir())) == 1
    other = re.sub("sha256:[0-9a-f]{64}", "sha256:" + "0" * 64, lines[SMALL])
    refused = fetched(tmp_path, other)
    assert refused.returncode != 0
    assert "DO NOT MATCH THE HASHES" in refused.stderr

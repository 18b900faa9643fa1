"""The long hunts: tests marked `soak` run longer under LIGHTBOX_SOAK, and those marked
`soak(only=True)` run only then. `make soak` runs them before a release and stores how each ended
in `soak.json`, which `test_soak.py` reads.
"""

from __future__ import annotations

import json
import os
import re
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

import pytest

from core import __version__
from core.evidence import describe_hardware

T = TypeVar("T")
SOAK = bool(os.environ.get("LIGHTBOX_SOAK"))
STORED = Path(__file__).parent / "soak.json"
ROOT = Path(__file__).parents[1]
MARKED = re.compile(r"^@pytest\.mark\.soak\b.*\n(?:@.*\n|[ )].*\n)*def (test_\w+)", re.MULTILINE)


def longer(usual: T, in_soak: T) -> T:
    """How often something is tried, or for how long: `usual`, or `in_soak` under LIGHTBOX_SOAK."""
    return in_soak if SOAK else usual


def only_in_soak(item: pytest.Item) -> bool:
    """Whether a test runs under LIGHTBOX_SOAK only."""
    mark = item.get_closest_marker("soak")
    return mark is not None and bool(mark.kwargs.get("only"))


def marked() -> set[str]:
    """`file::function` of every test marked `soak`."""
    return {
        f"{path.relative_to(ROOT).as_posix()}::{name}"
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        for name in MARKED.findall(path.read_text("utf-8"))
    }


def stored() -> dict[str, dict[str, Any]]:
    """How each test of the last soak ended, by `file::function[parameters]`."""
    return json.loads(STORED.read_text("utf-8")) if STORED.exists() else {}


class Results:
    """Writes how each marked test ended as it ends, so that a hunt that is broken off keeps what it
    found; what is known of those that did not run stays.
    """

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        name = report.nodeid
        if name.split("[")[0] not in marked() or (report.when != "call" and report.passed):
            return
        if "PYTEST_XDIST_WORKER" in os.environ:  # the process that started this one writes
            return
        ended = {
            "outcome": report.outcome,
            "seconds": round(report.duration),
            "date": date.today().isoformat(),
            "version": __version__,
            "hardware": describe_hardware(),
        }
        known = dict(sorted((stored() | {name: ended}).items()))
        STORED.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n", "utf-8")

"""How the attempts at a job ended that did not end well, so that nobody is sent into the same crash
again: `attempts.json` in its folder.
"""

from __future__ import annotations

import json
import signal
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from core.errors import UserError, is_out_of_memory, user_sentence
from core.io.files import write_json

FILE = "attempts.json"
KEPT = 5  # attempts remembered
# steps, or 2 %, within which two attempts ended at the same step: what is written of a crash is up
# to a tenth of a second old
NEAR = 5
# somebody, or the system, ended it
OUTSIDE = ("SIGKILL", "SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGXCPU")


@dataclass(frozen=True)
class Attempt:
    """`cause` names what ended it without quoting data: a signal, an exit code, or an error's type
    and line. `own`: it came from the work itself, so that it would come again; not so a full disk,
    scarce memory or a kill.
    """

    cause: str
    phase: str
    step: int
    own: bool


def load(folder: Path) -> list[Attempt]:
    """Return the last attempts that a job's folder tells of, oldest first."""
    with suppress(OSError, ValueError, TypeError):
        return [Attempt(**one) for one in json.loads((folder / FILE).read_text())]
    return []


def add(folder: Path, attempt: Attempt) -> None:
    """Remember an attempt; where the disk takes nothing, it is forgotten."""
    with suppress(OSError):
        write_json(folder / FILE, [asdict(a) for a in [*load(folder), attempt][-KEPT:]])


def find_repeated_cause(tried: list[Attempt]) -> str:
    """Return what ended the last two of these attempts at the same step in the same way, by the
    work's own fault; "" where one more may end otherwise.
    """
    last = tried[-2:]
    if len(last) < 2 or not all(a.own for a in last):
        return ""
    before, now = last
    near = abs(before.step - now.step) <= max(NEAR, 0.02 * now.step)
    return now.cause if (before.cause, before.phase) == (now.cause, now.phase) and near else ""


def attempt_of_error(error: Exception, phase: str, step: int) -> Attempt:
    """Return the attempt that `error` ended."""
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    where = (
        f" ({Path(at.tb_frame.f_code.co_filename).name}, line {at.tb_lineno})"
        if at is not None
        else ""
    )
    machine = is_out_of_memory(error) or (
        user_sentence(error) is not None and not isinstance(error, UserError)
    )
    machine = machine or bool(getattr(error, "outside", False))
    return Attempt(type(error).__name__ + where, phase, step, own=not machine)


def attempt_of_exit(code: int, phase: str, step: int) -> Attempt:
    """Return the attempt whose process ended with `code` (negative: a signal)."""
    name = describe_exit(code)
    return Attempt(name, phase, step, name not in OUTSIDE)


def describe_exit(code: int) -> str:
    """“SIGSEGV”, or “exit code 1”."""
    if code >= 0:
        return f"exit code {code}"
    with suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"


def last_line(log: Path) -> str:
    """Return the last line of a log that says anything, at most 300 characters; "" where there is
    none.
    """
    with suppress(OSError), open(log, "rb") as file:
        file.seek(max(0, log.stat().st_size - 8000))
        lines = [line.strip() for line in file.read().decode(errors="replace").splitlines()]
        return next((line[:300] for line in reversed(lines) if line), "")
    return ""

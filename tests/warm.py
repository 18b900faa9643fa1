"""Processes that need not import everything: one server a test process imports what workers and
readers need, and forks a child for each that is to be started.

`spawn` stands in for `core.jobs.engines.spawn`; a supervisor started so forks its workers in turn.
Files marked `processes` start theirs as users do.
"""

from __future__ import annotations

import atexit
import functools
import importlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
JOBS = "tests.survive._warm"


class Forked:
    """A child of this process, with what is used of `subprocess.Popen`."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        end = time.monotonic() + (1e9 if timeout is None else timeout)
        while (code := self.poll()) is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
            time.sleep(0.01)
        return code

    def kill(self) -> None:
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)


class Distant(Forked):
    """A child of the server."""

    def __init__(self, server: Server, pid: int) -> None:
        super().__init__(pid)
        self.server = server

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self.server.ask(poll=self.pid)
        return self.returncode


class Server:
    """A process that has imported the module `preload` and forks on request; it ends with this
    process. `preload` may also be the path of a script that calls `serve`.
    """

    def __init__(self, preload: str | Path, cwd: Path = ROOT, **env: str) -> None:
        command = [str(preload)] if isinstance(preload, Path) else ["-m", "tests.warm", preload]
        self.lock = threading.Lock()
        self.process = subprocess.Popen(
            [sys.executable, *command],
            cwd=cwd,
            # without a safe path, which a command run in this process sets while it lasts, and
            # with which Python would not find this module
            env=os.environ
            | {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "PYTHONSAFEPATH": ""}
            | env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        atexit.register(self.end)

    def ask(self, **request: Any) -> Any:
        assert self.process.stdin
        assert self.process.stdout
        with self.lock:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            return json.loads(self.process.stdout.readline())

    def start(self, module: str, function: str, args: list[Any], **where: Any) -> Distant:
        """Call `function` of `module` in a child; see `in_child` for what else is given."""
        return Distant(self, self.ask(module=module, function=function, args=args, **where))

    def end(self) -> None:
        with self.process:
            self.process.stdin.close()  # type: ignore[union-attr]


@functools.cache
def jobs_server() -> Server:
    return Server(JOBS)


def spawn(
    module: str,
    args: list[str],
    log: Path,
    threads: int | None = None,
    env: dict[str, str] | None = None,
) -> Any:
    """As `core.jobs.engines.spawn`, but for the threads of arithmetic, which is one."""
    from core.children import environment
    from core.io import files

    files.before("append", log)
    where = {"log": str(log), "cwd": str(log.parent), "env": environment(**(env or {}))}
    if IN_CHILD:
        return Forked(fork(module=JOBS, function="main", args=[module, *args], **where))
    return jobs_server().start(JOBS, "main", [module, *args], **where)


IN_CHILD: list[bool] = []  # holds True in what the server has forked


def fork(**request: Any) -> int:
    """The number of a child that calls a function as `in_child` does."""
    pid = os.fork()
    if pid:
        return pid
    try:
        in_child(**request)
        code = 0
    except SystemExit as e:
        code = e.code if isinstance(e.code, int) else int(e.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    os._exit(code)


def in_child(
    module: str,
    function: str,
    args: list[Any],
    log: str,
    cwd: str = "",
    env: dict[str, str] | None = None,
) -> None:
    """Call `function` of `module` with `args` in a session of its own, in the folder `cwd` and the
    environment `env`, its output appended to the file `log`.
    """
    os.setsid()
    out, nothing = (
        os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
        os.open(os.devnull, os.O_RDONLY),
    )
    os.dup2(nothing, 0)
    os.dup2(out, 1)
    os.dup2(out, 2)
    sys.stdout = sys.stderr = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115
    if cwd:
        os.chdir(cwd)
    if env is not None:
        os.environ.clear()
        os.environ.update(env)
        paths = env.get("PYTHONPATH", "").split(os.pathsep)
        sys.path[:0] = [p for p in paths if p and p not in sys.path]
    IN_CHILD.append(True)
    getattr(importlib.import_module(module), function)(*args)


def serve(preload: str) -> None:
    """Fork a child for each line of standard input, or say how one ended."""
    importlib.import_module(preload)
    answers, sys.stdout = sys.stdout, sys.stderr
    children: dict[int, Forked] = {}
    for line in sys.stdin:
        request = json.loads(line)
        if "poll" in request:
            answer = children[request["poll"]].poll()
        else:
            answer = fork(**request)
            children[answer] = Forked(answer)
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    # by its own name, so that what a child imports is this module and no second one
    importlib.import_module("tests.warm").serve(sys.argv[1])

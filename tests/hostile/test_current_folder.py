"""Nothing that lies in the folder somebody stands in is run or read: every command, from a folder
full of traps that leave a mark.
"""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
import typer
from PIL import Image

from app import cli
from core import children
from core.data.samples.catalogue import SAMPLES, make_sample
from core.registry import demo_runs
from core.workspace.catalogue import Job
from core.workspace.workspace import Workspace
from tests import warm
from tests.browser.conftest import _free_port
from tests.hostile._make import ROOT
from tests.survive import _make

ANEW = ("app", "train", "check")  # commands whose process is begun anew
LIMIT = 150  # seconds a command may take here, on a busy machine
MODULES = """
    numpy json sitecustomize usercustomize app pages assets torch typer click streamlit zarr pandas
    scipy sklearn matplotlib numba PIL pydicom nibabel pydantic sqlalchemy alembic psutil secrets
    hmac uuid dataclasses subprocess tempfile logging multiprocessing yaml tomllib marking_backend
    """.split()  # noqa: SIM905
MARK = (
    "import os\nopen(os.environ['MARK_OF_TRAPS'], 'a').write(__file__ + '\\n')\nraise"
    " SystemExit(7)\n"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with 30 pictures in two classes, and traps."""
    place = tmp_path_factory.mktemp("traps")
    rng = np.random.default_rng(0)
    for i in range(30):
        (place / "pictures" / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (16, 16), np.uint8)).save(
            place / "pictures" / "ab"[i % 2] / f"{i}.png"
        )
    for name in MODULES:
        (place / f"{name}.py").write_text(MARK)
    (place / "core").mkdir()
    (place / "core" / "__init__.py").write_text(MARK)
    (place / "matplotlibrc").write_text(
        "backend: module://marking_backend\nfigure.facecolor: red\n"
    )
    (place / ".numba_config.yaml").write_text("threading_layer: omp\ndisable_jit: 1\n")
    (place / ".streamlit").mkdir()
    (place / ".streamlit" / "config.toml").write_text("[server]\nbaseUrlPath = 'trap'\n")
    (place / ".env").write_text(f"LIGHTBOX_HOME={place / 'elsewhere'}\n")
    return place


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A workspace with digits, a finished run, and everything that `lightbox demo` would train
    marked as done.
    """
    ws = Workspace(tmp_path_factory.mktemp("home"))
    for name in SAMPLES:
        ws.add(make_sample(name), sample=True)
    data = make_sample("digits")
    few = replace(
        data,
        name="few",
        samples=np.asarray(data.samples[:60]),
        table=data.table.iloc[:60].reset_index(drop=True),
    )
    for name in ("few", "gone", "more"):
        ws.add(replace(few, name=name))
    with pytest.MonkeyPatch.context() as patch:
        run, gone, failed = (_make.ask(ws, patch, seed=seed) for seed in (0, 1, 2))
        ran = _make.do(ws, run.id)
    assert ran.status == "done", ran.error
    ws.catalogue.set_job(gone.id, status="cancelled")
    ws.catalogue.set_job(failed.id, status="interrupted")
    for i, (kind, demo) in enumerate(demo_runs()):
        ws.catalogue.add_job(
            Job(
                id=f"demo{i:06}",
                kind="train",
                dataset=ws.entry(demo.sample)["id"],
                method=kind.id,
                status="done",
            )
        )
    return {"home": ws.home, "run": run.id, "gone": gone.id, "failed": failed.id}


def arguments(home, folder):
    """What each command is called with; {RUN} and such are filled in. A command that is not here is
    called without, and refuses.
    """
    out = folder.parent / "out"
    return {
        "samples": [],
        "demo": ["--no-serve"],
        "check": [],
        "methods": [],
        "app": ["--port", str(_free_port())],
        "train": ["few", "pca", "-p", "dimensions=3"],
        "measure": ["RUN"],
        "apply": ["RUN", "more"],
        "data normal": ["few", "0"],
        "export": ["RUN", "--to", str(out / "export")],
        "map": ["RUN", "--how", "pca"],
        "explain": ["RUN", "--rows", "1,2"],
        "axes": ["RUN"],
        "traverse": ["RUN", "--row", "1", "--to-dir", str(out / "frames")],
        "report": ["RUN", "--to", str(out / "page.html")],
        "benchmark": ["pca", "--stored"],
        "data add": ["pictures", "--name", "mine"],
        "data list": [],
        "data show": ["few"],
        "data check": ["few"],
        "data remove": ["gone"],
        "data issues": ["few"],
        "data exclude": ["digits", "--rows", "1", "--reason", "trial"],
        "runs": [],
        "runs list": [],
        "runs show": ["RUN"],
        "runs cancel": ["RUN"],
        "runs resume": ["FAILED"],
        "runs remove": ["GONE"],
    }


def commands():
    """Every command there is, as words."""

    def walk(command, words):
        below = getattr(command, "commands", {})
        yield from ([" ".join(words)] if not below or words == ["runs"] else [])
        for name, one in below.items():
            yield from walk(one, [*words, name])

    return list(walk(typer.main.get_command(cli.register()), []))


def answered(port):
    """Wait until an app answers; whether it does."""
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        with suppress(OSError):
            return (
                urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=2).read()
                == b"ok"
            )
        time.sleep(0.3)
    return False


def scripts(folder):
    """The console script, and one that imports what commands import, standing in the folder, and
    then forks for each.
    """
    place = folder.parent / "bin"
    place.mkdir()
    (place / "lightbox").write_text("from app.cli import main\nmain()\n")
    (place / "forks").write_text(
        "from app.cli import main\nfrom tests import warm\nwarm.serve('tests.hostile._commands')\n"
    )
    return place / "lightbox", place / "forks"


@pytest.fixture(scope="module")
def call(folder, home, tmp_path_factory):
    """Calls a command from the folder as its console script does, in a process of its own: forked
    from one that began there as that script does, or, for some, begun anew. Gives exit code (of a
    server, whether it answered) and words.
    """
    script, forks = scripts(folder)
    own = {
        "LIGHTBOX_HOME": str(home["home"]),
        "MARK_OF_TRAPS": str(folder.parent / "marks"),
        "LIGHTBOX_IDLE_SECONDS": "0",
        "PYTHONPATH": str(ROOT),
    }
    logs = tmp_path_factory.mktemp("words")
    server = None if os.name == "nt" else warm.Server(forks, folder, **own)

    def forked(*args, within):
        log = logs / "-".join(args[:2]).replace("/", "")
        process = server.start("tests.hostile._commands", "command", list(args), log=str(log))
        try:
            return process.wait(within), log.read_text()
        except subprocess.TimeoutExpired:
            return "hangs", ""
        finally:
            with suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)

    def one(*args, within=LIMIT):
        if server is not None and args[0] not in ANEW:
            return forked(*args, within=within)
        with subprocess.Popen(
            [sys.executable, str(script), *args],
            cwd=folder,
            env=os.environ | own,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                if args[0] == "app":
                    code = 0 if answered(int(args[2])) else 1
                    process.terminate()
                    return code, process.communicate(timeout=within)[0]
                words = process.communicate(timeout=within)[0]
                return process.returncode, words
            except subprocess.TimeoutExpired:
                return "hangs", ""
            finally:
                with suppress(OSError):
                    os.killpg(process.pid, signal.SIGKILL)

    yield one
    if server is not None:
        server.end()


@pytest.fixture(scope="module")
def called(call, folder, home):
    """What every command said, two at a time."""
    given = arguments(home, folder)
    names = {"RUN": home["run"], "GONE": home["gone"], "FAILED": home["failed"]}
    lines = {c: [*c.split(), *(names.get(a, a) for a in given.get(c, []))] for c in commands()}
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(lines, pool.map(lambda line: call(*line), lines.values())))


@pytest.mark.parametrize("command", commands())
def test_no_command_runs_what_lies_in_the_folder_or_hangs(command, called, folder, home):
    code, words = called[command]
    assert not (folder.parent / "marks").exists(), (folder.parent / "marks").read_text()
    assert not (folder / "elsewhere").exists()
    assert code in ((0,) if command in arguments(home, folder) else (0, 2)), words
    assert "trap" not in words
    assert "Traceback" not in words


def test_every_command_that_is_given_words_exists(home, folder):
    assert set(arguments(home, folder)) <= set(commands())


def test_settings_of_libraries_in_the_folder_are_not_read(folder, tmp_path):
    """matplotlib's and numba's, by a command; Streamlit's, as the app above answers at its own
    address.
    """
    code = (
        "from app import cli\nfrom core.children import import_from_elsewhere as i\ni()\nimport"
        " matplotlib, numba, os\nprint(matplotlib.rcParams['figure.facecolor'],"
        " numba.config.DISABLE_JIT, os.getcwd())"
    )
    script = tmp_path / "script.py"
    script.write_text(code)
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["white", "0", str(folder.resolve())]


def test_a_child_has_no_path_that_means_the_current_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own").mkdir()
    for name, value in {
        "PYTHONPATH": os.pathsep.join(["", ".", str(tmp_path), "own", "/else"]),
        "LIGHTBOX_HOME": "mine",
        "LIGHTBOX_FOLDERS": os.pathsep.join(["a", "/b"]),
        "LIGHTBOX_CATALOGUE": "sqlite:///index.db",
    }.items():
        monkeypatch.setenv(name, value)
    env = children.environment(MORE="x")
    assert env["PYTHONPATH"].split(os.pathsep) == [str(ROOT), str(tmp_path / "own"), "/else"]
    assert env["PYTHONSAFEPATH"] == "1"
    assert (env["LIGHTBOX_HOME"], env["MORE"]) == (str(tmp_path / "mine"), "x")
    assert env["LIGHTBOX_FOLDERS"] == os.pathsep.join([str(tmp_path / "a"), "/b"])
    assert env["LIGHTBOX_CATALOGUE"] == f"sqlite:///{tmp_path / 'index.db'}"
    said = "import sys; print([p for p in sys.path if p in ('', '.') or p == sys.argv[1]])"
    assert (
        subprocess.check_output(
            [sys.executable, "-c", said, str(tmp_path)], env=env, text=True
        ).strip()
        == "[]"
    )


def test_every_child_is_started_in_one_place():
    """`-m` and `-c` put the current folder first on the path: only `core.children` names the
    interpreter.
    """
    named = [
        p
        for top in ("app", "core", "pages")
        for p in (ROOT / top).rglob("*.py")
        if "sys.executable" in p.read_text()
    ]
    assert {str(p.relative_to(ROOT)) for p in named} == {
        "core/children.py",
        "app/commands/serve.py",
        "app/components/latent_map/build.py",
        "core/report/script.py",  # in the text of a script that a person takes away
    }


def test_another_core_before_ours_is_refused_in_a_sentence(tmp_path):
    (tmp_path / "other" / "core").mkdir(parents=True)
    (tmp_path / "other" / "core" / "__init__.py").write_text("print('this ran')")
    script = tmp_path / "lightbox"
    script.write_text("from app.cli import main\nmain()\n")
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path / "other"), str(ROOT)])}
    done = subprocess.run(
        [sys.executable, str(script), "methods"],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert f"another of that name ({tmp_path / 'other' / 'core'})" in done.stderr

"""The wheel puts one name into site-packages, and what is installed from it does the main job from
any folder.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
import zipfile
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
BUNDLE = Path("app/components/latent_map/dist/latent_map.js")
PLUGIN = """
from core.artifacts import Embedding
from core.method import Method, Takes


class First(Method):
    id = "first_columns"
    title = "The first two columns"
    takes = Takes(("table",), trains=False)
    gives = (Embedding,)

    def fit(self, data, run):
        from core.run import Run

        assert isinstance(run, Run)

    def apply(self, data, run):
        yield Embedding(rows=data.rows, name="first", z=data.inputs()[:, :2].astype("f4"))
"""
PAGES = """
import sys
from streamlit.testing.v1 import AppTest
import lightbox
from pathlib import Path

app = Path(lightbox.__file__).parent / "app" / "main.py"
at = AppTest.from_file(str(app), default_timeout=300).run()
for page in sys.argv[1:]:
    assert not at.exception, at.exception
    at = at.switch_page(f"../pages/{page}.py").run()
assert not at.exception, at.exception
assert not {"core", "app", "pages"} & set(sys.modules)
"""


# by the extra `train`, as it is imported or called: what the light install lacks
TRAIN = ("torch", "lightning", "kornia", "captum", "faiss", "pacmap")


def has_bundle():
    return (ROOT / BUNDLE).exists()


pytestmark = pytest.mark.skipif(not has_bundle(), reason="the map is not built: make component")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy of the sources, so that nothing is left in the checkout."""
    source = tmp_path_factory.mktemp("source")
    left_out = shutil.ignore_patterns("__pycache__", "node_modules")
    for name in ("app", "assets", "core", "lightbox", "pages"):
        shutil.copytree(ROOT / name, source / name, ignore=left_out)
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = "from setuptools.build_meta import build_wheel; build_wheel('.')"
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True)
    return next(source.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Runs a program of an environment that holds the wheel, and beside it what Lightbox needs."""
    return environment(wheel, tmp_path_factory.mktemp("elsewhere"), Path(np.__file__).parents[1])


@pytest.fixture(scope="module")
def light(wheel, tmp_path_factory):
    """The same without the extra `train`."""
    needed = tmp_path_factory.mktemp("packages")
    for path in Path(np.__file__).parents[1].iterdir():
        if not path.name.startswith(TRAIN) and path.suffix != ".pth":
            (needed / path.name).symlink_to(path)
    return environment(wheel, tmp_path_factory.mktemp("light"), needed)


def environment(wheel, folder, needed):
    """Starts programs in `folder`, of a new environment with the wheel and the packages in
    `needed`.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    binary = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
    install = ["install", "-q", "--no-deps", "--no-index", "--no-compile", str(wheel)]
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(binary / "python"), *install], check=True
    )
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = subprocess.run(
        [binary / "python", "-c", ask], check=True, capture_output=True, text=True
    ).stdout.strip()
    # a path named here is searched as it is: the checkout, which its own .pth names, is not
    Path(site, "needed.pth").write_text(f"{needed}\n")
    (folder / "methods").mkdir()
    (folder / "methods" / "first_columns.py").write_text(PLUGIN)
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    env |= {"LIGHTBOX_HOME": str(folder / "home"), "LIGHTBOX_STANDBY": "1"}

    def start(program, *args, **more):
        return subprocess.Popen(
            [binary / program, *args],
            cwd=folder,
            env=env | more,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    start.home = env["LIGHTBOX_HOME"]
    return start


def ended(process):
    out, err = process.communicate(timeout=500)
    assert process.returncode == 0, err[-2000:]
    return out


def test_holds_one_name_the_map_and_the_cards(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"lightbox"}
    assert f"lightbox/{BUNDLE.as_posix()}" in names
    for pattern in ("assets/cards/*.md", "assets/evidence/*.json", "core/report/templates/*"):
        for path in ROOT.glob(pattern):
            assert f"lightbox/{path.relative_to(ROOT).as_posix()}" in names
    assert "lightbox/py.typed" in names


def test_its_modules_are_all_below_that_name():
    spec = spec_from_file_location("setup_of_lightbox", ROOT / "setup.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    text = (
        'import core.registry as r\nfrom app import text\nstart("core.jobs.worker", f"app.{x}")\n'
    )
    assert module.rewrite(text) == (
        "import lightbox.core.registry as r\nfrom lightbox.app import text\n"
        'start("lightbox.core.jobs.worker", f"lightbox.app.{x}")\n'
    )
    with pytest.raises(ValueError, match=r"give lightbox\.core\.registry a name"):
        module.rewrite("import core.registry")


@pytest.fixture(scope="module")
def trained(installed):
    """The name of a run on a sample, in the workspace of `installed`."""
    ended(installed("lightbox", "samples"))
    run = json.loads(ended(installed("lightbox", "train", "digits", "pca", "--json")))
    assert run["status"] == "done"
    return run["run"]


def test_does_the_main_job_from_another_folder(installed, trained, tmp_path):
    page = tmp_path / "page.html"
    ended(installed("lightbox", "report", trained, "--to", str(page)))
    assert "Principal components" in page.read_text("utf-8")
    ended(installed("python", "-c", PAGES, "data", "latent"))


def test_plug_ins_written_for_the_checkout_work(installed):
    methods = {"LIGHTBOX_METHODS": "methods"}
    fit = (
        "import sys, lightbox; assert 'core' not in sys.modules;"
        "f = lightbox.fit('first_columns', lightbox.sample('breast-cancer'));"
        "import core.method; assert core.method.Method is lightbox.Method;"
        "print(f.embedding.z.shape, type(f.embedding) is lightbox.Embedding)"
    )
    assert ended(installed("python", "-c", fit, **methods)).strip() == "(569, 2) True"


def test_without_the_extra_data_reports_and_pages_work_and_training_says_what_it_needs(
    installed, trained, light, tmp_path
):
    home = {"LIGHTBOX_HOME": installed.home}
    assert "pca on digits, done" in ended(light("lightbox", "runs", "show", trained, **home))
    page = tmp_path / "page.html"
    ended(light("lightbox", "report", trained, "--to", str(page), **home))
    assert "Principal components" in page.read_text("utf-8")
    lines = [f"{i},{i % 7},{'ab'[i % 2]}" for i in range(60)]
    (tmp_path / "few.csv").write_text("\n".join(["x,y,kind", *lines]))
    ended(light("lightbox", "data", "add", str(tmp_path / "few.csv"), **home))
    ended(light("lightbox", "data", "check", "few", **home))
    ended(light("python", "-c", PAGES, "data", "train", "runs", "latent", **home))
    refused = light("lightbox", "train", "few", "pca", **home)
    said = refused.communicate(timeout=500)[1].strip()
    assert said == "This needs the extra for training: pip install lightbox[train]."
    assert refused.returncode == 2


def test_serves_the_app(installed):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = installed("lightbox", "app", "--port", str(port))
    try:
        for _ in range(300):
            assert process.poll() is None, process.stderr.read()[-2000:]
            try:
                url = f"http://127.0.0.1:{port}/_stcore/health"
                with urllib.request.urlopen(url, timeout=5) as answer:
                    assert answer.read() == b"ok"
                return
            except OSError:
                time.sleep(1)
        pytest.fail("no answer")
    finally:
        process.terminate()
        process.wait(60)

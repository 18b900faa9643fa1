"""The pages of docs are up to date, complete and linked, and what they tell to type works."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from core import registry
from core.artifacts import TYPES
from core.settings import Settings
from tests import write_docs

ROOT = Path(__file__).parent.parent
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "core/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
CODE = re.compile(r"^```(python|bash)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def name_of(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("name", list(write_docs.PAGES))
def test_generated_pages_are_up_to_date(name):
    written = read(f"docs/{name}")
    assert written == write_docs.PAGES[name](), "run `make docs` and commit what it changes"


def test_every_command_and_option_is_told():
    page = read("docs/reference/cli.md")
    for name, command in write_docs.commands().items():
        section = page.split(f"\n## lightbox {name}\n")[1].split("\n## ")[0]
        for option in write_docs.options(command):
            assert all(f"`{word}`" in section for word in option.opts), (name, option.opts)


def test_every_setting_is_told():
    page = read("docs/reference/settings.md")
    assert all(field.description for field in Settings.model_fields.values())
    used = {f"LIGHTBOX_{name.upper()}" for name in Settings.model_fields}
    internal = {  # how the app and its tests tell their own processes something
        "LIGHTBOX_TOKEN",
        "LIGHTBOX_NO_TOKEN",
        "LIGHTBOX_SOCKET_LOG",
        "LIGHTBOX_CLUSTER_AT",
    }
    for top in ("app", "core", "pages", "lightbox", "tests"):
        for path in (ROOT / top).rglob("*.py"):
            used |= set(re.findall(r"\bLIGHTBOX_[A-Z]+(?:_[A-Z]+)*\b", path.read_text("utf-8")))
    assert not [name for name in used - internal if f"`{name}`" not in page]


def test_every_artifact_is_told():
    page = read("docs/reference/artifacts.md")
    assert not [name for name in TYPES if f"\n## {name}\n" not in page]


def test_every_method_parameter_and_measure_is_told():
    page = read("docs/reference/methods.md")
    for id, kind in registry.methods().items():
        section = page.split(f"\n### {id}: ")[1].split("\n##")[0]
        assert not [name for name in kind.Params.model_fields if f"`{name}`" not in section]
    assert not [id for id in registry.measures() if f"| `{id}` |" not in page]


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_links_lead_somewhere(path):
    links = [link for link in LINK.findall(path.read_text(encoding="utf-8")) if "://" not in link]
    broken = [link for link in links if not (path.parent / link.partition("#")[0]).exists()]
    assert not broken


def test_every_page_is_linked():
    linked = set()
    for path in PAGES:
        found = LINK.findall(path.read_text(encoding="utf-8"))
        linked |= {(path.parent / link.partition("#")[0]).resolve() for link in found}
    assert not [name_of(path) for path in PAGES[1:] if path.resolve() not in linked]


def test_paths_of_the_project_that_pages_name_exist():
    stems = r"(?:core|app|pages|tests|assets|docs|lightbox)/[\w./]+\w"
    for path in PAGES:
        named = re.findall(rf"`({stems})`", path.read_text(encoding="utf-8"))
        assert not [name for name in named if not (ROOT / name).exists()], name_of(path)


def test_readme_is_short():
    assert len(read("README.md").splitlines()) <= 80


def test_pictures_are_small():
    large = [p for p in (ROOT / "docs").rglob("*.png") if p.stat().st_size > 300_000]
    assert not large


@pytest.mark.parametrize(
    "path", [p for p in PAGES if CODE.search(p.read_text(encoding="utf-8"))], ids=name_of
)
def test_code_of_a_page_runs(path, tmp_path, monkeypatch):
    """All blocks of a page one after the other; Python in this process, where imports are warm."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIGHTBOX_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    folders = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    monkeypatch.setenv("PATH", folders)
    names = {"__name__": "page"}
    for language, code in CODE.findall(path.read_text(encoding="utf-8")):
        if language == "python":
            exec(code, names)
            continue
        ran = subprocess.run(
            ["bash", "-ec", code], capture_output=True, text=True, timeout=300, check=False
        )
        assert ran.returncode == 0, f"{code}\n{ran.stdout}\n{ran.stderr}"

"""Names of datasets are labels: whatever they are, files are called by ids of our own."""

import os
import re

import pytest

from core.data.samples.catalogue import make_sample
from core.errors import UserError
from core.workspace.workspace import Workspace

KEPT = [
    "../../x",
    "CON",
    "nul.txt",
    "/etc/passwd",
    "C:\\x",
    "a:b|c?d*",
    "..",
    "~",
    "$HOME",
    "%2e%2e%2f",
    "Größe 日本 🩻",
    "-rf",
    "' OR 1=1; --",
    "x" * 80,
    "<script>",
    "![](http://h.example/x.png)",
]
REFUSED = ["", " ", "\n", "x" * 300, "a\0b", "a\x1bb", "a\u202eb", "a\u200bb", "\ud800", "a\x07"]


@pytest.fixture
def ws(tmp_path):
    return Workspace(tmp_path / "home")


def renamed(name):
    from dataclasses import replace

    return replace(make_sample("breast-cancer"), name=name)


def tree(ws):
    return {
        os.path.relpath(os.path.join(folder, n), ws.home)
        for folder, folders, names in os.walk(ws.home)
        for n in [*folders, *names]
    }


@pytest.mark.parametrize("name", KEPT)
def test_the_label_is_kept_and_the_id_is_used(ws, tmp_path, name):
    """Fault 35: names that look like paths, devices or commands: kept as they are, and no file is
    called so.
    """
    outside = set(tmp_path.iterdir())
    ws.add(renamed(name))
    assert ws.dataset(name).name == name
    assert [e["name"] for e in ws.catalogue.datasets()] == [name]
    assert re.fullmatch(r"[a-z0-9]{8,32}", ws.entry(name)["id"])
    assert set(tmp_path.iterdir()) == outside
    top = {p.split(os.sep)[1] for p in tree(ws) if p.startswith("datasets" + os.sep)}
    assert top == {ws.entry(name)["id"]}
    ws.remove_dataset(name)
    assert ws.catalogue.datasets() == []
    assert not list((ws.home / "datasets").iterdir())


def test_lines_become_spaces(ws):
    """Fault 35: a newline in a name is a space."""
    ws.add(renamed("two\nlines\tand tabs"))
    assert ws.dataset("two lines and tabs").name == "two lines and tabs"


@pytest.mark.parametrize("name", REFUSED)
def test_names_that_cannot_be_seen_or_are_too_long_are_refused(ws, name):
    """Fault 35: empty, 300 letters, NUL, escape, bidirectional and zero-width characters: a
    sentence, and nothing is kept.
    """
    with pytest.raises(UserError, match="1 to 80 visible"):
        ws.add(renamed(name))
    assert ws.catalogue.datasets() == []
    assert not list((ws.home / "datasets").iterdir())


def test_the_same_name_in_other_case_is_another_dataset(ws):
    """Fault 35: ids, not names, are folders, so a file system that ignores case cannot mix
    them up.
    """
    ws.add(renamed("Liver"))
    ws.add(renamed("liver"))
    ids = {ws.entry("Liver")["id"], ws.entry("liver")["id"]}
    assert len({i.lower() for i in ids}) == 2
    with pytest.raises(UserError, match="already a dataset called “Liver”"):
        ws.add(renamed("Liver"))


@pytest.mark.parametrize(
    "id", ["../x", "..", "a/b", "ABCDEFGH", "a" * 33, "short", "abcdefg\n", "abcdefgh\0", ""]
)
def test_run_ids_are_not_paths(ws, id):
    """Fault 35: what is asked for as a run (in the address line too) is an id or nothing."""
    with pytest.raises(UserError, match="is not a run id"):
        ws.folder(id)


def test_group_names_are_no_paths(ws, tmp_path):
    """Fault 35: saved groups of cases as well."""
    import numpy as np

    from core.workspace import notes

    ws.add(renamed("x"))
    before = set(tmp_path.iterdir())
    for name in ("../../y", "CON", "a/b", "$x"):
        notes.save_group(ws, "x", name, np.arange(3))
    assert set(notes.load_groups(ws, "x")) == {"../../y", "CON", "a/b", "$x"}
    assert set(tmp_path.iterdir()) == before
    assert not [p for p in tree(ws) if "CON" in p or "$x" in p]

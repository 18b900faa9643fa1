"""Evidence carries a hash of the code it came from, and the tests tell which is stale."""

import ast
import json
import warnings

from app.commands.evidence import _words
from core import evidence
from core.registry import methods
from tests import write_docs
from tests.benchmarks._common import store_part


def test_words_comments_and_layout_are_no_code():
    one = 'def f(x):\n    """Adds."""\n    return x + 1  # one\n'
    other = "def f(\n    x\n):\n    return (x + 1)\n"
    assert evidence._without_words(ast.parse(one)) == evidence._without_words(ast.parse(other))
    assert evidence._without_words(ast.parse(one)) != evidence._without_words(
        ast.parse(one.replace("1", "2"))
    )
    alone, shared = "class A:\n    n = 1\n", "class A:\n    n = 1\n    shares_batches = True\n"
    assert evidence._without_words(ast.parse(alone)) == evidence._without_words(ast.parse(shared))


def test_a_method_s_code_is_its_file_and_the_networks_it_imports():
    root = evidence.FOLDER.parents[1]
    assert root / "core/nets/sinkhorn.py" in evidence._sources("swav")
    found = {id: evidence.code_of(id) for id in [*methods(), "class_separability"]}
    assert all(found.values())
    assert len(set(found.values())) == len(found)
    assert evidence.code_of("no such method") == ""


def test_stored_evidence_is_stale_once_the_code_has_changed(tmp_path, monkeypatch):
    monkeypatch.setenv(evidence.TARGET, str(tmp_path))
    evidence.store_evidence("pca", [])
    found = json.loads((tmp_path / "pca.json").read_text())
    assert evidence.is_stale(found) is False
    monkeypatch.setattr(evidence, "code_of", lambda id: "other")
    assert evidence.is_stale(found) is True
    del found["made"]["code"]
    assert evidence.is_stale(found) is None


def test_a_part_keeps_the_code_it_was_measured_with(tmp_path, monkeypatch):
    def part(title):
        return {"title": title, "measure": "m", "data": "d", "rows": [], "verdict": ""}

    def codes():
        found = evidence.load_evidence("pca", tmp_path)
        return {t["title"]: evidence.made_of(found, t).get("code") for t in found["tables"]}

    monkeypatch.setenv(evidence.TARGET, str(tmp_path))
    old = {"date": "2020-01-01", "hardware": "an abacus", "version": "0"}
    found = {"method": "pca", "made": old, "tables": [part("unknown")]}
    (tmp_path / "pca.json").write_text(json.dumps(found))
    monkeypatch.setattr(evidence, "code_of", lambda id: "first")
    store_part("pca", [part("one")])
    assert codes() == {"unknown": None, "one": "first"}
    found = evidence.load_evidence("pca", tmp_path)
    assert evidence.made_of(found, found["tables"][0]) == old
    assert evidence.is_stale(found) is None
    monkeypatch.setattr(evidence, "code_of", lambda id: "second")
    store_part("pca", [part("two")])
    assert codes() == {"unknown": None, "one": "first", "two": "second"}
    assert evidence.is_stale(evidence.load_evidence("pca", tmp_path)) is True
    store_part("pca", [part("one"), part("unknown")])
    assert codes() == dict.fromkeys(("unknown", "one", "two"), "second")
    assert evidence.is_stale(evidence.load_evidence("pca", tmp_path)) is False


def test_it_is_said_of_a_table_that_was_measured_before_the_others(tmp_path, monkeypatch):
    part = {"title": "t", "measure": "m", "data": "d", "split": "test", "n": 9, "seeds": [0]}
    part |= {"rows": [], "verdict": "", "higher_is_better": True}
    old = {"date": "2020-01-01", "hardware": "an abacus", "version": "0", "code": "old"}
    monkeypatch.setenv(evidence.TARGET, str(tmp_path))
    evidence.store_evidence("pca", [part | {"made": old}, part | {"title": "u"}])
    found = evidence.load_evidence("pca", tmp_path)
    when = "easured 2020-01-01 on an abacus"
    assert [when in line for line in _words(found).splitlines()[1::2]] == [True, False]
    monkeypatch.setattr(evidence, "FOLDER", tmp_path)
    monkeypatch.setattr(evidence, "load_evidence", lambda id: found)
    assert write_docs.benchmarks_page().count(when) == 1


def test_which_figures_are_of_other_code_than_this_is_told():
    ids = sorted(path.stem for path in evidence.FOLDER.glob("*.json"))
    stale = [id for id in ids if evidence.is_stale(evidence.load_evidence(id))]
    unknown = [
        id
        for id in ids
        if evidence.code_of(id) and evidence.is_stale(evidence.load_evidence(id)) is None
    ]
    for said, of in (("is of older code", stale), ("was stored without its code", unknown)):
        if of:
            warnings.warn(
                f"Evidence {said}: {', '.join(of)}. Measure it again: lightbox benchmark METHOD.",
                stacklevel=1,
            )

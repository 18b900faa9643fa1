"""Looking for more cases like a few marked ones, and what people say of the candidates."""

import json

import numpy as np
import pytest

from app.cli import register
from core.artifacts import Embedding
from core.data.samples.catalogue import make_sample
from core.errors import UserError
from core.explain.more_like import find_candidates, measure_precision
from core.jobs import queue
from core.jobs.run_folder import find_artifact
from core.workspace import notes, searches
from core.workspace.workspace import Workspace

NONE = np.zeros(0, np.int64)


def line(n=12):
    """Cases at 0, 1, 2, ... on a line, row ids from 100."""
    z = np.arange(n, dtype=np.float32)[:, None]
    return Embedding(rows=np.arange(n) + 100, name="line", z=np.hstack([z, np.zeros_like(z)]))


def test_the_nearest_to_a_marked_case_comes_first():
    found = find_candidates(line(), np.array([102, 103]), NONE, NONE, np.arange(100, 112))
    assert found.rows[:4].tolist() == [101, 104, 100, 105]
    assert np.isnan(found.share).all()


def test_what_is_not_it_pushes_its_surroundings_back_and_the_unclear_count_for_neither():
    args = np.array([102, 103]), np.array([106]), np.array([101]), np.arange(100, 112)
    found = find_candidates(line(), *args)
    assert set(found.rows.tolist()) == set(range(100, 112)) - {101, 102, 103, 106}
    order = found.rows.tolist()
    assert order.index(100) < order.index(105), "105 is as far from 103, but beside one that is not"
    assert (np.diff(found.share) >= 0).all()
    # by hand: 105 lies 2 from 103 and 1 from 106
    assert found.share[order.index(105)] == pytest.approx(2 / 3)


def test_one_case_is_too_few():
    with pytest.raises(UserError, match="at least 2"):
        find_candidates(line(), np.array([102]), NONE, NONE, np.arange(100, 112))


def test_precision_is_wilsons():
    rate = measure_precision(14, 6)
    assert (rate.value, rate.n) == (0.7, 20)
    assert (round(rate.low, 3), round(rate.high, 3)) == (0.481, 0.855)
    assert measure_precision(0, 0).value is None


def test_answers_are_kept_undone_and_stand_as_groups(tmp_path):
    ws = Workspace(tmp_path)
    ws.add(make_sample("breast-cancer"), sample=True)
    name = "breast-cancer"
    with pytest.raises(UserError, match="at least 2"):
        searches.begin_search(ws, name, "odd", "r", np.array([3]))
    searches.begin_search(ws, name, "odd", "r", np.array([3, 5]))
    with pytest.raises(UserError, match="already"):
        searches.begin_search(ws, name, "odd", "r", np.array([3, 5]))
    searches.answer(ws, name, "odd", 7, "it", "Dr A")
    searches.answer(ws, name, "odd", 8, "not it")
    searches.answer(ws, name, "odd", 9, "unclear")
    groups = notes.load_groups(ws, name)
    assert groups["odd"].tolist() == [3, 5, 7]
    assert groups["odd: cannot tell"].tolist() == [9]
    searches.undo_answer(ws, name, "odd")
    assert "odd: cannot tell" not in notes.load_groups(ws, name)
    kept = searches.load_searches(ws, name)["odd"]
    assert (kept.found.tolist(), kept.said("not it").tolist()) == ([3, 5, 7], [8])
    assert kept.answers[0]["by"] == "Dr A"
    searches.remove_search(ws, name, "odd")
    assert not searches.load_searches(ws, name)
    assert "odd" in notes.load_groups(ws, name), "what was found stays"


def test_the_command_orders_as_the_page_does_and_keeps_what_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LIGHTBOX_HOME", str(tmp_path))
    ws = Workspace(tmp_path)
    data = make_sample("breast-cancer")
    ws.add(data, sample=True)
    run = queue.wait(ws, queue.train(ws, data.name, "pca", {"dimensions": 3}).id).id
    cli = register()

    def ask(*words):
        capsys.readouterr()
        cli(["more-like", run, "odd", *words, "--json"], standalone_mode=False)
        return json.loads(capsys.readouterr().out)

    with pytest.raises(UserError, match="none was begun yet"):
        ask()
    with pytest.raises(UserError, match="has no row"):
        ask("--from", "3", "--from", "5", "--it", "no such case")
    first = ask("--from", "3", "--from", "5", "--top", "6")
    space = find_artifact(ws, run, Embedding)
    by_hand = find_candidates(space, np.array([3, 5]), NONE, NONE, data.rows)
    assert [c["row"] for c in first["candidates"]] == by_hand.rows[:6].tolist()
    a, b, c = (str(r) for r in by_hand.rows[:3])
    then = ask("--it", a, "--not-it", b, "--unclear", c)
    assert then["found"] == [3, 5, int(a)]
    assert then["unclear"] == [int(c)]
    assert (then["precision"]["value"], then["precision"]["n"]) == (0.5, 2)
    assert not {int(a), int(b), int(c)} & {one["row"] for one in then["candidates"]}
    assert ask("--undo")["reviewed"] == 2
    assert notes.load_groups(ws, data.name)["odd"].tolist() == sorted([3, 5, int(a)])

"""Decisions about cases: what is excluded or held back is in no view, count, artifact, export or
report, and comes back when taken back.
"""

import json

import numpy as np
import pandas as pd
import pytest

from core.artifacts import Embedding, Metrics, Rationales
from core.data.dataset import Dataset
from core.data.splits import add_split
from core.errors import Cancelled, UserError
from core.export import export_run
from core.jobs import queue
from core.report import story
from core.report.html import report_html
from core.workspace import notes, review
from core.workspace.workspace import Workspace

GONE = (4, 17, 18)  # rows whose names begin with "canary"


def named(n=60, held=(), **more):
    """Pictures of two classes with file names of their own, those of GONE marked by a word that is
    nowhere else.
    """
    rng = np.random.default_rng(5)
    x = rng.integers(0, 120, (n, 1, 12, 12), dtype=np.uint8)
    x[::2, :, 2:9, 2:9] += 120
    names = [f"{'canary' if i in GONE else 'film'}-{i:03d}.png" for i in range(n)]
    table = pd.DataFrame(
        {
            "file": names,
            "dx": ["ill", "well"] * (n // 2),
            "who": [f"P{i // 2}" for i in range(n)],
            **more,
        }
    )
    if held:
        table["held"] = [f"writing burned in at row {i}" if i in held else None for i in range(n)]
    table, roles, rule = add_split(table, {"file": "file", "label": "dx", "group": "who"})
    return Dataset(
        "films", "image", table, x, roles=roles, input_range=(0, 255), card={"split rule": rule}
    )


@pytest.fixture
def ws(database, tmp_path):
    made = Workspace(tmp_path)
    made.add(named())
    return made


@pytest.fixture(scope="module")
def trained(database, tmp_path_factory):
    """A workspace with a run, groups found in it, and a map, all made before anything was
    excluded.
    """
    made = Workspace(tmp_path_factory.mktemp("trained"))
    made.add(named())
    run = queue.wait(made, queue.train(made, "films", "pca", {"dimensions": 4}).id, timeout=120)
    groups = queue.wait(
        made, queue.train(made, "films", "kmeans", {"k": 2}, on=run.id).id, timeout=120
    )
    drawn = queue.wait(
        made, queue.derive(made, "map", run.id, {"how": "pca", "dims": 2}).id, timeout=120
    )
    assert {run.status, groups.status, drawn.status} == {"done"}
    made.run, made.groups_run, made.map_run = run.id, groups.id, drawn.id
    return made


@pytest.fixture
def thinned(trained):
    """The same with GONE excluded; afterwards they are back."""
    decision = review.exclude(trained, "films", GONE, "planted")
    yield trained
    review.undo(trained, "films", decision.id)


def test_excluded_rows_leave_the_view_and_come_back_as_they_were(ws):
    before = ws.dataset("films")
    decision = review.exclude(ws, "films", [4, 17], "blurred", "blank")
    after = ws.dataset("films")
    assert np.array_equal(after.rows, np.setdiff1d(np.arange(60), [4, 17]))
    assert np.array_equal(after.raw(), before.raw()[after.rows])
    assert after.hash != before.hash
    assert ws.data_hash("films") == after.hash
    assert ws.entry("films")["n"] == 58
    assert np.array_equal(after.every.rows, after.rows)
    assert np.array_equal(after.part("train").every.rows, after.rows)
    assert not set(after.frame["file"]) & {"canary-004.png", "canary-017.png"}
    assert len(ws.dataset("films", whole=True)) == 60
    assert ws.dataset("films", whole=True).hash == before.hash
    assert review.excluded_rows(ws, "films") == {4: "blurred", 17: "blurred"}
    other = review.exclude(ws, "films", [5], "blurred")
    assert ws.dataset("films").hash not in (before.hash, after.hash)
    for d in (other, decision):
        review.undo(ws, "films", d.id)
    assert ws.dataset("films").hash == before.hash
    assert ws.entry("films")["n"] == 60
    with pytest.raises(UserError, match="Already undone"):
        review.undo(ws, "films", decision.id)


@pytest.mark.parametrize(
    ("rows", "reason", "said"),
    [
        ([60], "x", "no row 60"),
        ([-1], "x", "no row -1"),
        ([], "x", "No case is named"),
        ([3], " ", "Say why"),
    ],
)
def test_what_cannot_be_excluded_is_refused_in_words(ws, rows, reason, said):
    with pytest.raises(UserError, match=said):
        review.exclude(ws, "films", rows, reason)
    assert review.list_decisions(ws, "films") == []


def test_a_row_excluded_twice_counts_once_and_needs_both_taken_back(ws):
    one = review.exclude(ws, "films", [4], "first")
    with pytest.raises(UserError, match="excluded already"):
        review.exclude(ws, "films", [4], "again")
    two = review.exclude(ws, "films", [4, 5], "again")
    assert two.rows == [5]
    review.undo(ws, "films", one.id)
    assert review.excluded_rows(ws, "films") == {5: "again"}


def test_held_rows_wait_until_released_or_excluded(tmp_path):
    ws = Workspace(tmp_path)
    ws.add(named(held=(4, 17, 18)))
    assert len(ws.dataset("films")) == ws.entry("films")["n"] == 57
    assert review.held_rows(ws, "films")[17] == "writing burned in at row 17"
    freed = review.release(ws, "films", [17])
    review.exclude(ws, "films", [4], "has a name on it")
    assert list(review.held_rows(ws, "films")) == [18]
    assert 17 in ws.dataset("films").rows
    review.undo(ws, "films", freed.id)
    assert list(review.held_rows(ws, "films")) == [17, 18]
    with pytest.raises(UserError, match="held back"):
        review.release(ws, "films", [5])
    review.release(ws, "films")
    assert not review.held_rows(ws, "films")
    assert len(ws.dataset("films")) == 59  # the excluded one stays out


def test_moving_and_relabelling_change_the_view_and_not_what_is_stored(ws):
    before = ws.dataset("films")
    row = int(before.part("test").rows[0])
    moved = review.move(ws, "films", [row], "train", "same patient")
    assert ws.dataset("films").splits[row] == "train"
    assert ws.dataset("films").hash != before.hash
    old = before.labels[row]
    new = before.classes[1 - old]
    review.relabel(ws, "films", [row], new, "seen again")
    assert ws.dataset("films").labels[row] == 1 - old
    assert ws.dataset("films", whole=True).labels[row] == 1 - old
    review.undo(ws, "films", moved.id)
    assert ws.dataset("films").splits[row] == "test"
    with pytest.raises(UserError, match="not a label"):
        review.relabel(ws, "films", [row], "neither", "x")
    with pytest.raises(UserError, match="No case would be left"):
        review.relabel(ws, "films", np.arange(60), "ill", "x")
    with pytest.raises(UserError, match="is not a part"):
        review.move(ws, "films", [row], "holdout", "x")


def test_two_people_deciding_at_once_lose_nothing(ws):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda r: review.exclude(ws, "films", [r], "at once"), range(20)))
    assert sorted(review.excluded_rows(ws, "films")) == list(range(20))


def test_artifacts_made_before_come_without_the_excluded_rows(trained):
    whole = trained.artifact(trained.run, "embedding-latent")
    assert review.count_removed_since(trained, trained.run) == 0
    decision = review.exclude(trained, "films", GONE, "planted")
    thin = trained.artifact(trained.run, "embedding-latent")
    assert isinstance(thin, Embedding)
    assert isinstance(thin.z, np.memmap)
    keep = np.setdiff1d(np.arange(60), GONE)
    assert np.array_equal(thin.rows, keep)
    assert np.array_equal(thin.z, np.asarray(whole.z)[keep])
    assert thin.made_by == whole.made_by
    for run in (trained.run, trained.groups_run, trained.map_run):
        for slug, artifact in trained.artifacts(run).items():
            assert not artifact.aligned() or not np.isin(GONE, artifact.rows).any(), slug
    assert isinstance(trained.artifact(trained.run, "metrics"), Metrics)
    assert review.count_removed_since(trained, trained.run) == 3
    review.undo(trained, "films", decision.id)
    assert np.array_equal(trained.artifact(trained.run, "embedding-latent").z, whole.z)
    assert review.count_removed_since(trained, trained.run) == 0


def test_lists_with_an_entry_a_row_are_cut_alike(tmp_path):
    made = Rationales.example(6)
    made.save(tmp_path / "a", np.array([0, 3]))
    thin = Rationales.load(tmp_path / "a")
    assert thin.rows.tolist() == [1, 2, 4, 5]
    assert thin.items == [made.items[i] for i in (1, 2, 4, 5)]
    made.save(tmp_path / "none", np.arange(6))
    assert len(Rationales.load(tmp_path / "none").rows) == 0


def test_slices_of_an_excluded_volume_go_with_their_places(tmp_path):
    made = Embedding(
        rows=np.array([0, 0, 1, 1, 1, 2]),
        place=np.array([0, 1, 0, 1, 2, 0]),
        z=np.arange(12, dtype="f4").reshape(6, 2),
    )
    made.save(tmp_path / "a", np.array([0, 9]))
    thin = Embedding.load(tmp_path / "a")
    thin.validate()
    assert (thin.rows.tolist(), thin.place.tolist(), thin.z[:, 0].tolist()) == (
        [1, 1, 1, 2],
        [0, 1, 2, 0],
        [4, 6, 8, 10],
    )


def test_a_large_array_is_written_without_rows_piece_by_piece(tmp_path):
    from core.io.files import write_rows

    x = np.random.default_rng(0).normal(size=(1000, 3, 5)).astype("f4")
    keep = np.flatnonzero(np.arange(1000) % 3)
    write_rows(tmp_path / "x.npy", x, keep, chunk=999)
    assert np.array_equal(np.load(tmp_path / "x.npy", mmap_mode="r"), x[keep])


def test_groups_and_named_cases_leave_excluded_rows_out(ws):
    notes.save_group(ws, "films", "mine", np.array([3, 4, 5]))
    decision = review.exclude(ws, "films", [4], "x")
    assert notes.load_groups(ws, "films")["mine"].tolist() == [3, 5]
    assert 4 not in notes.find_named_rows(ws, "films", "dx=ill")
    both = review.exclude(ws, "films", [3, 5], "x")
    with pytest.raises(UserError, match="is excluded"):
        notes.find_named_rows(ws, "films", "mine")
    for d in (both, decision):
        review.undo(ws, "films", d.id)
    assert notes.load_groups(ws, "films")["mine"].tolist() == [3, 4, 5]


def test_a_run_trained_afterwards_has_never_seen_them(thinned):
    job = queue.wait(
        thinned, queue.train(thinned, "films", "pca", {"dimensions": 3}).id, timeout=120
    )
    for artifact in thinned.artifacts(job.id).values():
        assert not np.isin(GONE, artifact.rows).any()
    assert review.count_removed_since(thinned, job.id) == 0
    assert (
        thinned.artifact(job.id, "embedding-latent").made_by.data_hash
        == thinned.dataset("films").hash[:16]
    )


def test_nothing_taken_out_names_an_excluded_case(thinned, tmp_path):
    export_run(thinned, thinned.run, tmp_path / "out")
    files = [p for p in (tmp_path / "out").rglob("*") if p.is_file()]
    assert any(b"film-003" in p.read_bytes() for p in files)
    for p in files:
        if p.suffix == ".parquet":
            assert not any("canary" in str(v) for v in pd.read_parquet(p).to_numpy().ravel()), p
        assert b"canary" not in p.read_bytes(), p
        if p.name == "rows.npy" and p.parent.name != "model":
            told = json.loads((p.parent / "artifact.json").read_text())["type"]
            assert told in ("Metrics", "Model") or not np.isin(GONE, np.load(p)).any(), p
    page = report_html(thinned, [thinned.run])
    assert "canary" not in page
    assert "3 cases were excluded after this run was trained" in page


def test_figures_are_measured_anew_and_the_map_keeps_its_places(trained):
    first = queue.derive(trained, "measure", trained.run, {"names": ["rankme"]})
    assert queue.wait(trained, first.id, timeout=60).status == "done"
    decision = review.exclude(trained, "films", GONE, "planted")
    again = queue.derive(trained, "measure", trained.run, {"names": ["rankme"]})
    assert again.id != first.id
    assert queue.wait(trained, again.id, timeout=60).status == "done"
    assert len(trained.artifact(again.id, "metrics").rows) == 57
    assert (
        queue.derive(trained, "map", trained.run, {"how": "pca", "dims": 2}).id == trained.map_run
    )
    review.undo(trained, "films", decision.id)
    assert queue.derive(trained, "measure", trained.run, {"names": ["rankme"]}).id == first.id


def test_a_class_without_cases_left_is_no_class_to_learn(ws):
    review.exclude(ws, "films", np.arange(0, 60, 2), "one class only")
    with pytest.raises(UserError, match="at least two classes"):
        queue.train(ws, "films", "classifier")
    # numbers of classes never change under finished runs
    assert ws.dataset("films").classes == ["ill", "well"]


def test_all_excluded_is_said_in_words(ws):
    review.exclude(ws, "films", np.arange(60), "all of them")
    assert len(ws.dataset("films")) == ws.entry("films")["n"] == 0
    with pytest.raises(UserError, match="at least"):
        queue.train(ws, "films", "pca")


def test_a_pin_made_before_says_that_it_may_show_excluded_cases(ws):
    from core.report.html import story_html

    png = b"\x89PNG\r\n\x1a\n" + b"0" * 20
    pin = story.add_pin(
        ws, png, "A view", {"data": "films", "data hash": ws.dataset("films").hash[:10]}
    )
    assert not story.is_outdated(ws, pin)
    assert story.OUTDATED not in story_html(ws)
    review.exclude(ws, "films", [4], "x")
    assert story.is_outdated(ws, pin)
    assert story.OUTDATED in story_html(ws)


def test_a_run_taken_up_again_after_an_exclusion_starts_anew(ws, tmp_path):
    from core.registry import method_class
    from core.training.run import Run

    kind = method_class("classifier")
    run = Run(seed=0, device="cpu", folder=tmp_path)
    done = []
    run.report_to = lambda step, total, values: done.append(step)
    run.stop = lambda: len(done) >= 6
    run.checkpoint_every = 0.0
    method = kind(kind.Params(epochs=8, batch_size=16))
    with pytest.raises(Cancelled):
        method.fit(ws.dataset("films"), run)

    def taken_up():
        first = []
        again = Run(
            seed=0,
            device="cpu",
            folder=tmp_path,
            resume=True,
            report_to=lambda step, total, values: first.append(step),
            stop=lambda: bool(first),
        )
        with pytest.raises(Cancelled):
            kind(method.params).fit(ws.dataset("films"), again)
        return first[0], again.notes

    step, notes = taken_up()
    assert step == 7  # stopped after the sixth, whose checkpoint was still written
    assert "resumed" in notes[0]
    review.exclude(ws, "films", [4], "x")
    step, notes = taken_up()
    assert step == 1
    assert "had changed" in notes[0]

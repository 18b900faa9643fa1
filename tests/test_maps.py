"""Maps: the same seed gives the same map, whatever the threads; what is on a map stays when cases
are added; landmarks are said; neighbours are true.
"""

import os
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import numba
import numpy as np
import pytest

from core.artifacts import Embedding, Map
from core.data.samples.catalogue import make_sample
from core.errors import UserError
from core.maps import layout
from core.maps import make as maps
from core.maps.make import add, compare_projections, count_sampled, make_map
from core.maps.projections import PROJECTIONS, find_more_faithful
from core.neighbours import RECALL, Finder, neighbours

ROOT = Path(__file__).parents[1]


def mixture(n: int, d: int = 12, k: int = 6, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Points float32 [n,d] in k tight groups, and the group of each."""
    rng = np.random.default_rng(seed)
    of = rng.integers(0, k, n)
    return (4 * rng.normal(size=(k, d))[of] + rng.normal(size=(n, d))).astype(np.float32), of


def embedding(z: np.ndarray, first: int = 0) -> Embedding:
    return Embedding(rows=np.arange(first, first + len(z)), z=z)


@cache
def digits() -> np.ndarray:
    data = make_sample("digits")
    return np.asarray(data.inputs(), np.float32).reshape(len(data), -1)


@cache
def drawn() -> maps.Map:
    return make_map(embedding(mixture(600)[0]))


def purity(xy: np.ndarray, of: np.ndarray) -> float:
    """Share of points whose nearest other point on the map is of their group."""
    return float((of[neighbours(xy, 1)[0][:, 0]] == of).mean())


THREADS = """
import faiss, hashlib, numba, sys
from threadpoolctl import threadpool_limits
from tests.test_maps import embedding, make_map, mixture
z = embedding(mixture(300)[0])
for how, dims in (("umap", 2), ("umap", 3), ("pca", 2), ("tsne", 2), ("pacmap", 2)):
    made = []
    for threads in (1, 2):
        numba.set_num_threads(threads)
        faiss.omp_set_num_threads(threads)
        with threadpool_limits(threads):
            made.append(make_map(z, how, dims).xy)
    assert made[0].shape == (300, dims)
    assert made[0].tobytes() == made[1].tobytes(), how
print("equal")
"""


def test_the_same_seed_gives_the_same_map_for_any_number_of_threads():
    """In a process of its own, since threads once begun stay; they sleep while they wait."""
    env = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"), "2")
    env["OMP_WAIT_POLICY"] = "passive"
    done = subprocess.run(
        [sys.executable, "-c", THREADS],
        env=env,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split()[-1:] == ["equal"], done.stderr[-2000:]


def test_another_process_draws_the_same_map():
    """What numba compiles here and what it read back there must agree to the last bit."""
    said = (
        "import numpy as np; from tests.test_maps import *;"
        " print(make_map(embedding(mixture(600)[0])).xy.tobytes().hex()[:4000])"
    )
    got = subprocess.run(
        [sys.executable, "-c", said], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()
    assert got == drawn().xy.tobytes().hex()[:4000]


def test_another_seed_draws_another_map():
    assert not np.allclose(
        make_map(embedding(mixture(100)[0]), seed=1).xy, make_map(embedding(mixture(100)[0])).xy
    )


def test_digits_are_drawn_as_faithfully_as_by_umap_learn():
    made = make_map(embedding(digits()))
    assert made.scores["trustworthiness"] >= 0.982  # umap-learn: 0.987 with its default call
    assert made.scores["continuity"] >= 0.97


def test_groups_are_islands():
    z, of = mixture(600)
    assert purity(drawn().xy, of) > 0.99
    assert purity(make_map(embedding(z), dims=3).xy, of) > 0.99


SOME = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
NAN = np.where(np.arange(240).reshape(60, 4) == 9, np.nan, SOME)
DEGENERATE = {  # latents: what the map is drawn by, asked for each way
    "four rows": (SOME[:4], "refused"),
    "five rows": (SOME[:5], "pacmap: at least 35"),
    "20 rows": (SOME[:20], "pacmap: at least 35"),
    "34 rows": (SOME[:34], "pacmap: at least 35"),
    "35 rows": (SOME[:35], ""),
    "50 rows": (SOME[:50], ""),
    "one dimension": (SOME[:, :1], "pacmap: at least 2 latent dimensions"),
    "one dimension, 20 rows": (SOME[:20, :1], "pacmap: at least 35"),
    "one place": (np.ones((60, 4), np.float32), "all: at 1 place of"),
    "one place, 8 rows": (np.ones((8, 4), np.float32), "all: at 1 place of"),
    "two places": (np.repeat(np.eye(2, dtype=np.float32), 30, 0), "all: at 2 places of"),
    "57 of 60 at one place": (
        np.r_[np.zeros((57, 4)), SOME[:3]].astype(np.float32),
        "all: at 4 places of",
    ),
    "52 of 60 at one place": (np.r_[np.zeros((52, 4)), SOME[:8]].astype(np.float32), ""),
    "five places": (np.repeat(np.eye(5, dtype=np.float32), 12, 0), ""),
    "minute": (1e-12 * SOME, ""),
    "far away": (1e12 * SOME, ""),
    "no number": (NAN, "refused"),
    "infinite": (np.where(np.isnan(NAN), np.inf, NAN), "refused"),
}


@pytest.mark.parametrize("how", PROJECTIONS)
@pytest.mark.parametrize("name", DEGENERATE)
def test_degenerate_latents_give_a_map_or_one_sentence(name, how):
    z, right = DEGENERATE[name]
    if right == "refused":
        latents = embedding(SOME[: len(z)])
        latents.z = z  # as one that was stored comes, unchecked
        with pytest.raises(
            UserError,
            match=(
                r"at least 5 cases; this run has 4|1 of 60 cases have latent coordinates that are"
                r" no finite numbers"
            ),
        ):
            make_map(latents, how)
        return
    made = make_map(embedding(z), how)
    assert np.isfinite(made.xy).all()
    assert np.isfinite(made.trust).all()
    of, _, why = right.partition(": ")
    replaced = how != "pca" and of in (how, "all")
    assert made.how == ("pca" if replaced else how)
    assert bool(made.reason) == replaced
    if replaced:
        assert made.reason.startswith("projected by principal components: ")
        assert why in made.reason
        assert made.reason in made.summary()


@pytest.mark.parametrize("how", PROJECTIONS)
def test_flat_latents_are_drawn_in_three_dimensions(how):
    made = make_map(embedding(SOME[:40, :2]), how, dims=3)
    assert np.isfinite(made.xy).all()
    assert bool(made.reason) == (how == "pacmap")


@pytest.mark.parametrize("how", PROJECTIONS)
def test_added_cases_find_their_place_and_move_no_other(how):
    z, of = mixture(700)
    old, new = embedding(z[:600]), embedding(z[600:], 600)
    made = make_map(old, how)
    more = add(made, old, new)
    assert more.xy[:600].tobytes() == made.xy.tobytes()
    assert more.trust[:600].tobytes() == made.trust.tobytes()
    assert more.added.tolist() == [False] * 600 + [True] * 100
    assert more.rows.tolist() == list(range(700))
    assert "100 added later" in more.summary()
    assert more.scores["added_trustworthiness"] > (0.8 if how == "pca" else 0.93)
    if how != "pca":
        assert purity(more.xy, of) > 0.99
    if how == "umap":
        # a place does not depend on who else came
        alone = add(made, old, replace(new, rows=new.rows[7:9], z=new.z[7:9]))
        np.testing.assert_array_equal(alone.xy[600:], more.xy[607:609])
        again = add(more, embedding(z), replace(new, rows=new.rows + 100))
        assert again.xy[:700].tobytes() == more.xy.tobytes()


def test_cases_of_another_space_are_not_added():
    z = mixture(600)[0]
    with pytest.raises(UserError, match="not embedded"):
        add(drawn(), embedding(z), embedding(z[:, :3], 600))
    with pytest.raises(UserError, match="not slices"):
        add(replace(drawn(), place=np.zeros(600, np.int64)), embedding(z), embedding(z, 600))


def test_large_maps_are_placed_by_landmarks_and_say_so(monkeypatch):
    monkeypatch.setattr(maps, "WHOLE", 500)
    monkeypatch.setattr(maps, "LANDMARKS", 300)
    z, of = mixture(900)
    made = make_map(embedding(z))
    assert made.landmarks == 300
    assert "placed by 300 landmarks" in made.summary()
    assert len(made.xy) == 900
    assert purity(made.xy, of) > 0.98


def test_a_map_that_is_laid_out_whole_speaks_of_no_landmarks():
    assert drawn().landmarks == 0
    assert "landmark" not in drawn().summary()


def test_neighbours_above_the_exact_size_are_nearly_all_true():
    # no groups: the hardest case for cells
    z = np.random.default_rng(0).normal(size=(6_000, 24)).astype(np.float32)
    index, distance = neighbours(z, 15)
    some = np.arange(0, 6_000, 60)
    true = np.sort(np.linalg.norm(z[some, None] - z[None], axis=2), axis=1)[:, 1:16]
    assert (distance[some] <= true[:, -1:] * 1.0001).mean() >= RECALL - 0.02
    assert (index != np.arange(6_000)[:, None]).all()
    np.testing.assert_allclose(
        distance[some], np.linalg.norm(z[index[some]] - z[some, None], axis=2), rtol=1e-3
    )


def test_neighbours_of_many_rows_are_the_same_for_any_number_of_threads():
    z = mixture(6_000)[0]
    z[:12] += 1e4  # a cell of fewer rows than are asked for
    z[100:200] = z[100]
    usual, found = numba.get_num_threads(), []
    try:
        for threads in (1, usual):
            numba.set_num_threads(threads)
            found.append(neighbours(z, 20))
    finally:
        numba.set_num_threads(usual)
    index, distance = found[0]
    assert index.tobytes() == found[1][0].tobytes()
    assert distance.tobytes() == found[1][1].tobytes()
    assert ((index >= 0) & (index != np.arange(6_000)[:, None])).all()
    assert set(index[0][:11]) == set(range(1, 12))
    assert not distance[150].any()
    assert (np.diff(distance) >= 0).all()


def test_neighbours_are_found_where_a_cell_holds_too_few():
    z = np.random.default_rng(0).normal(size=(6_000, 2)).astype(np.float32)
    z[:12] += 1e4
    at, _ = Finder(z)(z[:3], 2_000)
    assert (at >= 0).all()


def test_neighbours_are_computed_once_and_read_without_copies(tmp_path, monkeypatch):
    z = mixture(600)[0]
    first = neighbours(z, 10, cache=tmp_path)
    monkeypatch.setattr("core.neighbours._search", lambda x, k: pytest.fail("searched again"))
    again = neighbours(z, 10, cache=tmp_path)
    assert isinstance(again[0], np.memmap)
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])


def test_what_is_found_by_its_hash_is_not_copied_for_it(tmp_path, monkeypatch):
    """By what the hash is given, not by memory traced: that counts what other threads hold."""
    import hashlib

    z = np.zeros((1000, 30), np.float32)
    hashed, sha256 = [], hashlib.sha256
    monkeypatch.setattr(
        "core.neighbours._search",
        lambda x, k: (np.zeros((9, k), np.int32), np.zeros((9, k), np.float32)),
    )
    monkeypatch.setattr(hashlib, "sha256", lambda data=b"": hashed.append(data) or sha256(data))
    neighbours(z, 5, cache=tmp_path)
    assert any(np.shares_memory(np.asarray(data), z) for data in hashed if len(data) == len(z))


def test_weights_are_as_umap_defines_them():
    """McInnes et al., algorithm 3: the nearest other row has 1, and the weights of a row add up to
    log2 of how many rows it looks at, itself included.
    """
    weight = layout.weights(neighbours(mixture(200)[0], 14)[1])
    np.testing.assert_allclose(weight.sum(1), np.log2(15), atol=1e-3)
    np.testing.assert_array_equal(weight[:, 0], 1)
    assert (np.diff(weight, axis=1) <= 1e-6).all()


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """A workspace with principal components of the digits, a map drawn while four were excluded,
    and the four back in use.
    """
    from core.jobs import queue
    from core.workspace import review
    from core.workspace.workspace import Workspace

    ws = Workspace(tmp_path_factory.mktemp("maps"))
    ws.add(make_sample("digits"))
    run = queue.wait(ws, queue.train(ws, "digits", "pca", {"dimensions": 6}).id, timeout=120)
    out = review.exclude(ws, "digits", np.array([3, 7, 40, 41]), "look again")
    drawn = queue.wait(
        ws, queue.derive(ws, "map", run.id, {"how": "umap", "dims": 2}).id, timeout=120
    )
    review.undo(ws, "digits", out.id)
    assert drawn.status == "done", drawn.error
    return ws, run, drawn


def test_cases_that_came_into_use_later_are_added_by_a_job(workspace):
    from core.jobs import queue
    from core.jobs.run_folder import find_artifact
    from core.maps import out_of_sample

    ws, run, drawn = workspace
    made, latents = ws.artifact(drawn.id, "map"), find_artifact(ws, run.id, Embedding)
    assert out_of_sample.missing(ws, run, made, latents).tolist() == [3, 7, 40, 41]
    done = queue.wait(
        ws,
        queue.derive(ws, "map", run.id, {"how": "umap", "dims": 2, "onto": drawn.id}).id,
        timeout=120,
    )
    assert done.status == "done", done.error
    more = ws.artifact(done.id, "map")
    assert more.xy[: len(made.rows)].tobytes() == made.xy.tobytes()
    assert more.rows[len(made.rows) :].tolist() == [3, 7, 40, 41]
    assert not len(out_of_sample.missing(ws, run, more, latents))


def test_cases_of_other_data_are_embedded_by_the_runs_model(workspace):
    from core.artifacts import Model
    from core.jobs.run_folder import find_artifact
    from core.maps import out_of_sample

    ws, run, _ = workspace
    model, latents, own = (
        find_artifact(ws, run.id, Model),
        find_artifact(ws, run.id, Embedding),
        ws.dataset("digits"),
    )
    np.testing.assert_allclose(
        out_of_sample.embedded(model, latents, own, own.of(np.arange(20))),
        latents.z[:20],
        atol=1e-3,
    )
    with pytest.raises(UserError, match="shape"):
        out_of_sample.embedded(model, latents, own, make_sample("head-phantom"))
    with pytest.raises(UserError, match="does not give the coordinates"):
        out_of_sample.embedded(
            model, replace(latents, z=np.asarray(latents.z)[::-1].copy()), own, own
        )
    with pytest.raises(UserError, match="keeps no model"):
        out_of_sample.embedded(None, latents, own, own)


# -- which projection ------------------------------------------------------------------------------
def test_automatic_takes_umap_unless_another_keeps_clearly_more_of_the_nearest():
    """A plane in 20 dimensions: its principal components keep every neighbour, UMAP does not."""
    rng = np.random.default_rng(0)
    plane = rng.normal(size=(1500, 2)) @ np.linalg.qr(rng.normal(size=(20, 2)))[0].T
    made = make_map(embedding(plane.astype("f4")), "auto")
    assert made.how == "pca"
    assert made.compared["pca"]["knn_recall"] > 0.95
    assert made.compared["umap"]["knn_recall"] < 0.9
    apart = make_map(embedding(mixture(900)[0]), "auto")
    assert apart.how == "umap"
    assert set(apart.compared) == {"umap", "tsne", "pca"}
    np.testing.assert_array_equal(apart.xy, make_map(embedding(mixture(900)[0]), "umap").xy)


def test_of_few_rows_or_rows_alike_nothing_is_compared():
    few = make_map(embedding(mixture(40)[0][:40]), "auto")
    assert (few.how, few.compared) == ("umap", {})
    alike = make_map(embedding(np.ones((60, 4), "f4")), "auto")
    assert (alike.how, alike.compared) == ("pca", {})
    assert "UMAP" in alike.reason


def test_nothing_is_compared_where_the_sample_has_too_few_places():
    z = np.zeros((4000, 3), np.float32)
    z[:4] = np.random.default_rng(0).normal(size=(4, 3))
    assert compare_projections(z, 2, 0) == {}


def test_the_sample_compared_is_of_the_cases_drawn_not_of_those_placed_later():
    made = Map(rows=np.arange(3000), xy=np.zeros((3000, 2), "f4"))
    assert count_sampled(made) == 1000
    assert count_sampled(replace(made, beside=np.zeros((400, 2), "f4"))) == 0
    assert count_sampled(replace(made, added=np.arange(3000) >= 900)) == 0
    assert count_sampled(replace(made, added=np.arange(3000) >= 1100)) == 1000


def test_more_faithful_is_more_neighbours_kept_and_no_less_trust():
    def scores(kept, trust):
        return {"knn_recall": kept, "trustworthiness": trust}

    compared = {"umap": scores(0.20, 0.85), "tsne": scores(0.32, 0.91), "pca": scores(0.35, 0.8)}
    assert find_more_faithful("umap", compared) == "tsne"
    assert find_more_faithful("pca", compared) is None
    assert find_more_faithful("pacmap", compared) is None
    assert find_more_faithful("umap", compared | {"tsne": scores(0.24, 0.99)}) is None

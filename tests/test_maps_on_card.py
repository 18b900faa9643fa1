"""Maps on a graphics card, whose code runs here on torch's processor: as true and as faithful as
the processors' own, the same for the same seed; who computes, and what is done where a card cannot.
"""

import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from core import nearest_on_card
from core.errors import UserError
from core.jobs import tasks
from core.maps import card as cards
from core.maps import make as maps
from core.maps.card import Card, choose_card, compute
from core.maps.make import make_map
from core.neighbours import RECALL
from tests.test_maps import ROOT, embedding, mixture

ROOM = 32 << 20


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def fail(*_: Any) -> Any:
    raise AssertionError("not to be called")


def recall_of(index: np.ndarray, z: np.ndarray) -> float:
    """Share of the true neighbours found for an even sample of rows; equal distances count."""
    some = np.linspace(0, len(z) - 1, 100).astype(int)
    far = np.stack([((z.astype(float) - z[i]) ** 2).sum(1) for i in some])
    far[np.arange(len(some)), some] = np.inf
    last = np.sort(far, 1)[:, index.shape[1] - 1, None]
    return float((np.take_along_axis(far, index[some].astype(int), 1) <= last * (1 + 1e-4)).mean())


def find(z: np.ndarray, k: int = 15, room: int = ROOM) -> tuple[np.ndarray, np.ndarray]:
    index, distance = nearest_on_card.neighbours(torch.from_numpy(z), k, room)
    assert (index.dtype, distance.dtype) == (torch.int32, torch.float32)
    return index.numpy(), distance.numpy()


def test_clustered_rows_find_their_neighbours_in_the_cells_around(monkeypatch):
    parted = []
    search = nearest_on_card._Cells.search
    monkeypatch.setattr(
        nearest_on_card._Cells, "search", lambda *given: parted.append(1) or search(*given)
    )
    z = mixture(6_001, k=30)[0]
    index, distance = find(z)
    assert parted
    assert recall_of(index, z) >= RECALL
    assert (np.diff(distance, axis=1) >= 0).all()
    assert not (index == np.arange(len(z))[:, None]).any()
    gap = np.linalg.norm(z[index[7]] - z[7], axis=1)
    assert distance[7] == pytest.approx(gap, rel=1e-5)


def test_uniform_rows_are_compared_with_all(monkeypatch):
    monkeypatch.setattr(nearest_on_card._Cells, "search", fail)
    z = np.random.default_rng(0).random((5_120, 32), np.float32)
    assert recall_of(find(z)[0], z) == 1


@pytest.mark.parametrize("room", [1, ROOM])
def test_few_rows_are_compared_with_all_in_blocks_of_any_size(room):
    z = mixture(200)[0]
    index, distance = find(z, 14, room)
    assert recall_of(index, z) == 1
    assert distance.shape == (200, 14)


def test_copies_are_neighbours_of_one_another():
    z = np.repeat(mixture(30)[0], 40, 0)
    index, distance = find(z, 14)
    assert not distance.any()
    assert (index // 40 == np.arange(1_200)[:, None] // 40).all()
    assert not (index == np.arange(1_200)[:, None]).any()


@pytest.mark.parametrize("dims", [2, 3])
def test_a_map_is_as_faithful_and_the_same_for_the_same_seed(dims, monkeypatch):
    monkeypatch.setattr(maps, "WHOLE", 100)  # which the processors lay out together at most
    monkeypatch.setattr(maps, "LANDMARKS", 100)
    z, card = embedding(mixture(400)[0]), Card("cpu")
    made = make_map(z, dims=dims, card=card)
    assert card.used
    assert made.landmarks == 0
    assert made.xy.shape == (400, dims)
    assert made.xy.tobytes() == make_map(z, dims=dims, card=card).xy.tobytes()
    monkeypatch.setattr(maps, "WHOLE", 1_000)
    here = make_map(z, dims=dims)
    assert made.scores["trustworthiness"] >= here.scores["trustworthiness"] - 0.005
    assert made.scores["continuity"] >= here.scores["continuity"] - 0.005


def test_rows_without_groups_are_drawn_as_faithfully():
    z = embedding(np.random.default_rng(0).random((2_000, 8), np.float32))
    made, here = make_map(z, card=Card("cpu")), make_map(z)
    assert made.scores["trustworthiness"] >= here.scores["trustworthiness"] - 0.005


def test_blocks_of_rows_do_not_change_the_map(monkeypatch):
    z = embedding(mixture(150)[0])
    made = []
    for room in (200_000, ROOM):
        monkeypatch.setattr(cards, "ROOMS", (room,))
        made.append(make_map(z, card=Card("cpu")).scores["trustworthiness"])
    assert made[0] == pytest.approx(made[1], abs=0.005)


def test_fewer_rows_than_neighbours_are_drawn():
    made = make_map(embedding(mixture(6)[0]), card=Card("cpu"))
    assert np.isfinite(made.xy).all()
    assert made.how == "umap"


def test_other_ways_of_drawing_stay_on_the_processors(monkeypatch):
    monkeypatch.setattr(maps, "_umap_on_card", fail)
    monkeypatch.setattr(maps, "_tsne", lambda z, *_: z[:, :2])
    card = Card("cpu")
    make_map(embedding(mixture(60)[0]), "tsne", card=card)
    assert not card.used


def out_of_memory(tries: list[int]) -> Callable[[str, int], str]:
    def there(device: str, room: int) -> str:
        tries.append(room)
        if room > min(cards.ROOMS):
            raise torch.OutOfMemoryError("CUDA out of memory")
        return "card"

    return there


def test_where_memory_does_not_suffice_blocks_become_smaller():
    tries: list[int] = []
    card = Card("cpu", fail)
    assert compute(card, out_of_memory(tries), fail) == "card"
    assert card.used
    assert tries == sorted(cards.ROOMS, reverse=True)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), "memory did not suffice"),
        (RuntimeError("CUDA error: an illegal memory access"), "failed"),
    ],
)
def test_what_a_card_cannot_do_the_processors_do_and_it_is_said(error, said):
    def there(device: str, room: int) -> str:
        raise error

    heard: list[str] = []
    card = Card("cpu", heard.append)
    assert compute(card, there, lambda: "processors") == "processors"
    assert not card.used
    assert len(heard) == 1
    assert said in heard[0]
    assert "CUDA" not in heard[0]


def test_mistakes_of_ours_are_not_hidden():
    with pytest.raises(AssertionError):
        compute(Card("cpu"), fail, lambda: None)


@pytest.fixture
def with_card(monkeypatch):
    """A machine where a card can be used, as far as choosing one looks."""
    monkeypatch.setattr(cards, "gpu_here", lambda: True)
    monkeypatch.setattr(cards, "choose_device", lambda wanted, note: torch.device("cuda", 0))


def test_many_rows_go_to_a_free_card(with_card, monkeypatch):
    found = choose_card(cards.WHOLE + 1, lambda: [1])
    assert found is not None
    assert found.device == "cuda:1"
    assert choose_card(cards.WHOLE, fail) is None
    monkeypatch.setenv("LIGHTBOX_MAPS_DEVICE", "cpu")
    assert choose_card(cards.WHOLE + 1, fail) is None
    monkeypatch.setenv("LIGHTBOX_MAPS_DEVICE", "cuda")
    assert choose_card(5, lambda: [0]) is not None


def test_where_trainings_hold_the_cards_the_processors_draw_and_it_is_said(with_card):
    heard: list[str] = []
    assert choose_card(cards.WHOLE + 1, lambda: [], heard.append) is None
    assert heard == ["Trainings hold the graphics cards, so the processors drew this map."]


def test_a_card_that_is_demanded_and_not_there_is_an_error(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setenv("LIGHTBOX_MAPS_DEVICE", "cuda")
    with pytest.raises(UserError, match="LIGHTBOX_MAPS_DEVICE"):
        choose_card(cards.WHOLE + 1, fail)


def test_cards_that_trainings_hold_are_not_free(monkeypatch):
    monkeypatch.setattr(tasks, "list_gpus", lambda: ["2", "5", "7"])
    running = [SimpleNamespace(lane="5"), SimpleNamespace(lane="cpu")]
    ws: Any = SimpleNamespace(catalogue=SimpleNamespace(jobs=lambda **asked: running))
    assert tasks.find_free_cards(ws) == [0, 2], "torch counts those it is shown"


WITHOUT_TORCH = """
import sys
from core.maps import card
from core.maps.make import make_map
card.gpu_here = lambda: %r
assert card.choose_card(%d, list) is None
assert "torch" not in sys.modules
"""


@pytest.mark.parametrize(("gpu", "rows"), [(True, 1_000), (False, 1_000_000)])
def test_torch_is_not_imported_for_small_maps_or_without_a_card(gpu, rows):
    subprocess.run([sys.executable, "-c", WITHOUT_TORCH % (gpu, rows)], cwd=ROOT, check=True)

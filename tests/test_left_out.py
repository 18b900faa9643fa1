"""Regions left out of the lesions a run proposes."""

from __future__ import annotations

import numpy as np
import pytest

from core.errors import UserError
from core.workspace import left_out
from core.workspace.workspace import Workspace

RUN = "0123456789"


@pytest.fixture
def ws(tmp_path):
    found = Workspace(tmp_path)
    found.folder(RUN).mkdir(parents=True)
    return found


def test_a_region_holds_the_lesions_whose_highest_heat_lies_in_it_and_can_be_taken_back(ws):
    id = left_out.leave_out(ws, RUN, "  bladder ", [4, 5, 6], [(10, 20), (30, 40)])
    regions = left_out.load_left_out(ws, RUN)
    inside = {"number": 1, "place": [20, 30]}
    assert left_out.find_region(regions, 5, [20, 30]) == "bladder"
    assert left_out.decide(inside, 5, {}, regions) == "left out"
    for row, place in ((7, [20, 30]), (5, [21, 30]), (5, [20, 29]), (5, [0, 20, 30])):
        assert left_out.find_region(regions, row, place) == ""
    left_out.take_in(ws, RUN, id)
    assert left_out.load_left_out(ws, RUN) == {}
    assert left_out.decide(inside, 5, {}, {}) == ""


def test_a_decision_about_one_lesion_goes_before_a_region(ws):
    left_out.leave_out(ws, RUN, "heart", [2], [(0, 3), (10, 20), (30, 40)])
    regions, line = left_out.load_left_out(ws, RUN), {"number": 1, "place": [1, 15, 35]}
    assert left_out.decide(line, 2, {}, regions) == "left out"
    for accepted, word in ((True, "accepted"), (False, "rejected")):
        decided = {"2-1": {"accepted": accepted}}
        assert left_out.decide(line, 2, decided, regions) == word
    assert left_out.decide(line | {"number": 2}, 2, {"2-1": {"accepted": True}}, {}) == ""


def test_an_empty_or_nameless_region_is_refused_and_nothing_kept(ws):
    with pytest.raises(UserError, match="empty"):
        left_out.leave_out(ws, RUN, "heart", [2], [(5, 3), (1, 2)])
    with pytest.raises(UserError, match="empty"):
        left_out.leave_out(ws, RUN, "heart", [], [(1, 3), (1, 2)])
    with pytest.raises(UserError, match="name"):
        left_out.leave_out(ws, RUN, "  ", [2], [(1, 3), (1, 2)])
    assert left_out.load_left_out(ws, RUN) == {}


def test_of_a_painted_region_only_what_was_painted_is_left_out(ws):
    painted = np.zeros((32, 48), bool)
    painted[10:14, 20:28] = True
    painted[10, 20] = False
    id = left_out.leave_out(ws, RUN, "bladder", [2], [(3, 5), (0, 0), (0, 0)], painted)
    regions = left_out.load_left_out(ws, RUN)
    assert regions[id]["box"] == [[3, 5], [10, 13], [20, 27]]
    assert (left_out.painted(regions[id]) == painted[10:14, 20:28]).all()
    for place, found in (
        ([4, 12, 22], "bladder"),
        ([4, 10, 21], "bladder"),
        ([4, 10, 20], ""),  # within the ends, but not painted
        ([2, 12, 22], ""),
        ([4, 14, 22], ""),
    ):
        assert left_out.find_region(regions, 2, place) == found
    with pytest.raises(UserError, match="painted"):
        left_out.leave_out(ws, RUN, "heart", [2], [(0, 0), (0, 0)], np.zeros((32, 48), bool))
    assert list(left_out.load_left_out(ws, RUN)) == [id]

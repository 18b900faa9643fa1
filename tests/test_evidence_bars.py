"""Bars that stored evidence keeps, or whose miss the method's card states."""

import json
import re

import pytest

from core import evidence
from core.cards import FOLDER, parse_card

NEAR = 0.02  # of AUROC: how far the default may lie below its best rival
OF_TORCH, OF_ANOMALIB = 0.95, 1.3  # times the speed of bare calls, and of that library


def card(id):
    return " ".join(parse_card(id, (FOLDER / f"{id}.md").read_text("utf-8")).sections.values())


def speeds():
    """(method, table) of each stored table of speed against bare calls of torch."""
    for path in sorted(evidence.FOLDER.glob("*.json")):
        for table in json.loads(path.read_text())["tables"]:
            if any(row["name"] == "bare torch" for row in table["rows"]):
                yield path.stem, table


@pytest.mark.parametrize("learned", ["learned from normal cases", "learned from all"])
def test_the_default_score_of_tables_is_near_the_best_rival(learned):
    table = next(
        t
        for t in evidence.load_evidence("table_anomaly")["tables"]
        if learned in t["title"] and t["measure"].startswith("AUROC")
    )
    own, rival = table["rows"][0], evidence.find_best_rival(table)
    assert table["n"] >= 20
    assert own["name"].startswith("automatic")
    assert own["value"] >= rival["value"] - NEAR, rival["name"]


def test_a_score_of_tables_that_is_ahead_of_the_default_is_named_and_offered():
    """Where another score is ahead by any measure, the card names it, and it can be chosen."""
    from core.registry import methods

    choices = methods()["table_anomaly"].Params.model_json_schema()["properties"]["score"]["enum"]
    for table in evidence.load_evidence("table_anomaly")["tables"]:
        if not evidence.list_rivals(table):
            continue
        own, rival = table["rows"][0], evidence.find_best_rival(table)
        if rival["value"] > own["value"]:
            name = rival["name"].partition(",")[0]
            assert name in choices
            assert name in card("table_anomaly"), (table["title"], rival["name"])


def test_maps_take_no_longer_than_bare_torch_or_the_card_says_so():
    found = dict(speeds())
    assert {"ear", "dinomaly"} <= set(found)
    for id, table in found.items():
        own = table["rows"][0]["value"]
        rivals = {row["name"]: row["value"] for row in table["rows"]}
        for name, bar in (("bare torch", OF_TORCH), ("anomalib", OF_ANOMALIB)):
            if name in rivals and own < bar * rivals[name]:
                said = f"{own / rivals[name]:.2f} of {name}"
                assert re.search(rf"\b{re.escape(said)}", card(id)), f"{id}: {said}"

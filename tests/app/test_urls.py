"""What stands in an address: ids, never a dataset's name."""

import pytest
from streamlit.testing.v1 import AppTest

from core.workspace.workspace import Workspace
from tests.hostile._make import ROOT
from tests.survive import _make

NAME = "Anna Müller, ward 7"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    ws = Workspace(tmp_path_factory.mktemp("urls"))
    ws.add(_make.small(name=NAME))
    ws.add(_make.small(name="other"))
    return ws.home


@pytest.mark.parametrize("by", ["id", "name"])
def test_a_link_opens_its_dataset_and_the_address_holds_its_id(home, monkeypatch, by):
    """By its id, and by its name as in links of before."""
    monkeypatch.setenv("LIGHTBOX_HOME", str(home))
    entry = Workspace(home).entry(NAME)
    at = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=300)
    at.query_params["dataset"] = entry[by]
    at.run()
    assert not at.exception
    assert at.session_state["dataset"] == NAME
    assert at.query_params["dataset"] in (entry["id"], [entry["id"]])
    assert "Anna" not in str(dict(at.query_params))
    at.selectbox(key="w-open-dataset").select("other").run()
    assert at.query_params["dataset"] in (
        Workspace(home).entry("other")["id"],
        [Workspace(home).entry("other")["id"]],
    )


def test_a_link_to_what_is_not_there_opens_what_there_is(home, monkeypatch):
    monkeypatch.setenv("LIGHTBOX_HOME", str(home))
    at = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=300)
    at.query_params["dataset"] = "nothing"
    at.run()
    assert not at.exception
    assert at.session_state["dataset"] == "other"
    assert "nothing" not in str(dict(at.query_params))

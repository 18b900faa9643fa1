"""The files that take longest begin first; each file has a workspace of its own."""

import sys

import pytest

LONG = (
    "test_contract",
    "test_words_on_screen",
    "test_more_journeys",
    "test_label_agnostic_forgetting",
    "test_fuzz",
    "test_on_screen",
    "test_journey",
    "test_first_look",
    "test_cases",
    "test_current_folder",
    "test_unet_plus_plus",
    "test_osuda",
    "test_killer",
)


def pytest_collection_modifyitems(items):
    """So that no process is left with one of them at the end."""
    items.sort(key=lambda item: LONG.index(item.path.stem) if item.path.stem in LONG else len(LONG))


@pytest.fixture(autouse=True, scope="module")
def own_workspace(tmp_path_factory):
    """A new workspace for each file, and none of what the file before has left in caches: files may
    come in any order, and in any process.
    """
    if streamlit := sys.modules.get("streamlit"):
        streamlit.cache_data.clear()
        streamlit.cache_resource.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIGHTBOX_HOME", str(tmp_path_factory.mktemp("workspace") / "home"))
        yield

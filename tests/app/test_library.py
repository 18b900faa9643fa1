"""The library lists every card from an index, and draws the content of those that are open."""

from pathlib import Path

from streamlit.testing.v1 import AppTest

from core.registry import measures, methods

ROOT = Path(__file__).parents[2]


def test_the_list_is_drawn_without_a_chart_and_is_searched(tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTBOX_HOME", str(tmp_path))
    at = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=300).run()
    at.switch_page("../pages/library.py").run()
    assert not at.exception
    assert len(at.expander) == len(methods())
    assert at.get("plotly_chart") == []
    at.text_input[0].set_value("StRegA").run()
    assert 1 <= len(at.expander) < len(methods())
    at.text_input[0].set_value("no such thing").run()
    assert any("Nothing matches" in c.value for c in at.caption)
    at.text_input[0].set_value("").run()
    at.segmented_control[0].set_value("Measures").run()
    assert len(at.expander) == len(measures())

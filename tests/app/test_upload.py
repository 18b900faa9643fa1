"""An upload outlives the page it was dropped on."""

import io

from streamlit.testing.v1 import AppTest

from app.text import ago
from core.workspace import uploads
from core.workspace.workspace import Workspace


def test_after_a_reload_one_goes_on_with_the_files_or_takes_them_away(tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTBOX_HOME", str(tmp_path))
    ws = Workspace(tmp_path)
    rows = "".join(f"{i},{i % 7},{'ab'[i % 2]}\n" for i in range(40))
    kept = uploads.store_upload(ws, [("chest.csv", io.BytesIO(f"a,b,label\n{rows}".encode()))])

    def opened():
        return (
            AppTest.from_file("../../app/main.py", default_timeout=300)
            .run()
            .switch_page("../pages/data.py")
            .run()
        )

    at = opened()
    assert not at.exception
    at.button(key=f"continue-{kept.folder.name}").click().run()
    assert not at.exception
    assert any("chest" in str(i.value) for i in at.text_input)
    again = opened()
    again.button(key=f"away-{kept.folder.name}").click().run()
    assert not kept.folder.exists()
    assert not again.exception


def test_ago_says_how_long():
    import time

    assert [ago(time.time() - s) for s in (5, 300, 7300)] == ["just now", "5 min ago", "2 h ago"]

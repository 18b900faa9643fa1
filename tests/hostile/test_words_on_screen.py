"""Hostile words as columns, classes, files, names of data, runs and groups, in a real browser:
shown as they are, and nothing more.
"""

import io
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest

from core.data.readers import read
from core.jobs import queue
from core.workspace import notes
from core.workspace.workspace import Workspace
from tests.browser.conftest import _host, go, settled
from tests.hostile._make import png

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]

HOSTILE = {
    "markdown": "![x](http://hostile.example/md.png)",
    "image": "<img src='http://hostile.example/i.png' onerror='window.pwned=1'>",
    "script": "<script>window.pwned=1</script>",
    "link": "[press](javascript:window.pwned=1)",
    "bare link": "http://hostile.example/bare",
    "math": "$x_1$ and $$y$$",
    "colour": ":red[not red] :material/rocket_launch: :rocket: **bold** _it_",
    "bidi": "abc\u202egnp.exe\u2066",
    "zero width": "in\u200bvisi\u200dble",
    "emoji": "🧠🏥👩\u200d⚕️",
    "svg": "<svg onload=window.pwned=1>",
    "formula": '=HYPERLINK("http://hostile.example")',
    "long": "w" * 10_000,
}
PAGES = [
    "Home",
    "Data",
    "Train",
    "Runs",
    "Results",
    "Latent map",
    "Clusters",
    "Anomalies",
    "Rationales",
    "Traversal",
    "Compare",
    "Present",
    "Library",
]


def table():
    """60 rows; every column and every class is a hostile word."""
    words = list(HOSTILE.values())
    quoted = ['"' + w.replace('"', '""') + '"' for w in words]
    dice = np.random.default_rng(0)
    lines = [",".join([*quoted, "diagnosis", "site"])]
    for i in range(60):
        lines.append(
            ",".join(
                [
                    *(f"{v:.3f}" for v in dice.normal(size=len(words)) + (i % 4)),
                    quoted[i % 4],
                    quoted[4 + i % 3],
                ]
            )
        )
    return "\n".join(lines).encode()


def pictures():
    """48 pictures whose files and folders (the classes) are called hostile words."""
    out = io.BytesIO()
    safe = [re.sub(r"[/\\:]", "⁄", w)[:60] for w in HOSTILE.values()]
    with zipfile.ZipFile(out, "w") as z:
        for i in range(48):
            z.writestr(f"{safe[i % 3]}/{i} {safe[i % len(safe)]}.png", png(i, (16, 16)))
    return out.getvalue()


NAME = HOSTILE["markdown"] + HOSTILE["script"]  # of the picture set


@pytest.fixture(scope="module")
def prepared(served, guard, tmp_path_factory):
    """The workspace of the served app with a hostile picture set: trained, mapped, clustered, with
    a hostile group, run label and note.
    """
    ws = Workspace(guard["LIGHTBOX_HOME"])
    place = tmp_path_factory.mktemp("source")
    (place / "p.zip").write_bytes(pictures())
    name = NAME
    ws.add(read(place / "p.zip", name=name))
    base = queue.wait(
        ws, queue.train(ws, name, "pca", {"dimensions": 4}, label=HOSTILE["image"]).id, timeout=500
    )
    assert base.status == "done", base.error
    for job in (
        queue.derive(ws, "map", base.id, {"how": "pca", "dims": 2}),
        queue.train(ws, name, "kmeans", {}, on=base.id, label=HOSTILE["colour"]),
    ):
        assert queue.wait(ws, job.id, timeout=500).status == "done"
    for word in ("markdown", "script", "math"):
        notes.save_group(ws, name, HOSTILE[word][:60], np.arange(5))
    return ws


# Streamlit 1.67 takes the icon of a page in its list for the browser's until ours is set; on a slow
# machine it is asked for by then, and the content policy stops that before it leaves
PAGE_ICON = "https://fonts.gstatic.com/s/i/short-term/release/materialsymbolsrounded/"


def watched(page):
    """Everything the page ever tries to fetch, allowed or not, and what its scripts complain
    about; of the page's icon only what was let through.
    """
    page.set_default_timeout(180_000)
    tried = set()
    page.on("request", lambda r: r.url.startswith(PAGE_ICON) or tried.add(_host(r.url)))
    page.on("requestfinished", lambda r: tried.add(_host(r.url)))
    page.on("dialog", lambda d: (tried.add(f"dialog {d.message}"), d.dismiss()))
    page.on("popup", lambda p: tried.add(f"popup {p.url}"))
    return tried


def checked(page, tried, served, where):
    settled(page)
    assert page.evaluate("window.pwned") is None, where
    assert (
        page.locator(
            "img[src*='hostile.example'], a[href^='javascript'], svg[onload], [onerror]"
        ).count()
        == 0
    ), where
    assert (
        page.locator("[aria-label*='rocket'], [data-testid=stMarkdownColoredText]").count() == 0
    ), where
    assert "🚀" not in page.locator("body").inner_text(), where
    assert page.locator("a[href*='hostile.example']").count() == 0, where
    assert tried <= {_host(served), "data", "blob"}, where
    assert page.errors == [], where


def test_hostile_words_are_words_on_every_page(page, served, prepared, shot):
    """Fault 34: markdown, HTML, scripts, links, 10,000 letters, bidirectional and zero-width
    characters, math, colours and emoji: shown literally and cut; no other host is asked, no script
    runs, no page fails.
    """
    tried = watched(page)
    page.goto(f"{served}/?dataset={prepared.entry(NAME)['id']}")
    checked(page, tried, served, "start")
    for name in PAGES:
        go(page, name)
        page.wait_for_timeout(1500)
        checked(page, tried, served, name)
        shot(f"hostile-{name.lower().replace(' ', '-')}")
        shown = (
            page.locator("[data-testid=stMain]").inner_text()
            + page.locator("[data-testid=stSidebar]").inner_text()
        )
        assert "w" * 200 not in shown, name
        assert "\u202e" not in shown, name
        assert "\u200b" not in shown, name
    side = page.locator(".st-key-top-bar")
    assert "![x](http://hostile.example/md.png)<script>" in side.inner_html().replace(
        "&lt;", "<"
    ).replace("&gt;", ">")
    side.get_by_role("button", name=re.compile("Selection:")).click()
    page.get_by_text("![x](http://").first.wait_for()
    checked(page, tried, served, "groups")


def test_a_hostile_table_comes_in_through_the_browser(page, served, prepared, shot, tmp_path):
    """Fault 34: a table whose file, columns and classes are hostile words: previewed, imported,
    trained upon, looked at.
    """
    tried = watched(page)
    path = (
        tmp_path / "![f](http:⁄⁄hostile.example⁄f.png) <img src=x onerror=window.pwned=1> $x$.csv"
    )
    path.write_bytes(table())
    page.goto(served)
    settled(page)
    go(page, "Data")
    chooser = page.get_by_test_id("stFileUploaderDropzoneInput")
    if not chooser.count():
        page.get_by_text(re.compile("Add data|Bring data|Add or remove", re.I)).first.click()
    chooser.first.set_input_files(str(path))
    page.get_by_role("button", name="Import").wait_for(timeout=180_000)
    page.get_by_role("button", name="Import").wait_for()
    checked(page, tried, served, "preview")
    shot("hostile-preview")
    page.get_by_label("Call it").fill("**table** " + HOSTILE["link"])
    page.get_by_role("button", name="Import").click()
    page.get_by_text("Dataset check").wait_for(timeout=300_000)
    page.wait_for_timeout(1000)
    checked(page, tried, served, "imported")
    shot("hostile-imported")
    ws = prepared
    name = "**table** " + HOSTILE["link"]
    data = ws.dataset(name)
    assert HOSTILE["script"] in data.table.columns
    assert set(data.classes) == set(list(HOSTILE.values())[:4])
    base = queue.wait(
        ws, queue.train(ws, name, "pca", {"dimensions": 3}, label=HOSTILE["svg"]).id, timeout=500
    )
    queue.wait(ws, queue.derive(ws, "map", base.id, {"how": "pca", "dims": 2}).id, timeout=500)
    page.goto(f"{served}/?run={base.id}")
    for at in PAGES:
        go(page, at)
        page.wait_for_timeout(1200)
        checked(page, tried, served, f"table, {at}")
        shot(f"hostile-table-{at.lower().replace(' ', '-')}")


def test_a_session_asks_this_host_only_and_the_sidebar_says_so(page, served, prepared, guard):
    """What the sidebar says of the network is what is so: no request of the browser and none of the
    server goes elsewhere.
    """
    tried = watched(page)
    page.goto(served)
    settled(page)
    said = page.get_by_test_id("stSidebar").inner_text()
    assert "Nothing leaves this machine" in said
    for name in ("Data", "Latent map", "Library"):
        go(page, name)
    assert tried <= {_host(served), "data", "blob"}
    log = Path(guard["LIGHTBOX_SOCKET_LOG"])
    assert not log.exists() or log.read_text() == ""

"""The story as a PDF, the reporting sheet, and the script that makes a run again."""

import io
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from core.data.samples.catalogue import make_sample
from core.errors import UserError
from core.jobs import queue
from core.jobs.again import train_again
from core.report import script, story
from core.report.html import report_html
from core.report.story_pdf import story_pdf
from core.workspace import notes
from core.workspace.workspace import Workspace

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def ws(tmp_path_factory):
    made = Workspace(tmp_path_factory.mktemp("home"))
    made.add(make_sample("breast-cancer"), sample=True)
    return made


@pytest.fixture(scope="module")
def run(ws):
    asked = queue.train(ws, "breast-cancer", "table_anomaly", {}, only_normal=True)
    done = queue.wait(ws, asked.id, timeout=500)
    assert done.status == "done", done.error
    return done.id


def test_a_pdf_has_a_page_a_pin_and_takes_any_words(tmp_path):
    ws = Workspace(tmp_path)
    with pytest.raises(UserError, match="Nothing is pinned"):
        story_pdf(ws)
    out = io.BytesIO()
    Image.fromarray(np.full((90, 160), 127, np.uint8)).save(out, "PNG")
    for i in range(3):
        pin = story.add_pin(ws, out.getvalue(), f"{i} $x^{{ \\ <b>" + "long " * 80, {"seed": 0})
        story.change_pin(ws, pin.id, notes="one\n" + "a note " * 200)
    made = story_pdf(ws)
    assert made[:5] == b"%PDF-"
    assert made.count(b"/Type /Page ") + made.count(b"/Type /Page\n") == 3


def test_the_sheet_says_what_is_filled_and_lists_the_blanks(ws, run):
    page = report_html(ws, [run])
    assert "Reporting sheet" in page
    assert "Funding" in page.partition("Blank: ")[2].partition("</p>")[0]
    filled = int(page.partition(" subjects are filled")[0].rpartition("<p>")[2].split(" of ")[0])
    notes.state_model_facts(ws, run, {"intended use": "to try it"}, "Dr A")
    again = report_html(ws, [run])
    assert f"<p>{filled + 1} of " in again
    assert "to try it (Dr A)" in again


def test_the_script_makes_the_same_figures_again(ws, run, tmp_path):
    path = tmp_path / "again.py"
    path.write_text(script.write_script(ws, run))
    done = subprocess.run(
        [sys.executable, str(path)],
        env={**os.environ, "LIGHTBOX_HOME": str(ws.home)},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said, of = done.stdout.split(" figures")[0].split(" of ")
    assert int(said) == int(of) > 5


def test_a_run_asked_for_again_keeps_its_cases(ws, run):
    again = train_again(ws, ws.job(run), seed=1)
    assert (again.spec, again.seed) == (ws.job(run).spec, 1)
    assert again.spec["only_normal"] == "benign"
    queue.cancel(ws, again.id)

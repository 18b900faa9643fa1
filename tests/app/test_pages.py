"""Every page opens, with an empty workspace and with a run, without an exception."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.data.samples.catalogue import make_sample
from core.errors import UserError
from core.jobs import queue
from core.workspace.catalogue import Job
from core.workspace.workspace import Workspace
from tests.app import unexplained

ROOT = Path(__file__).parents[2]
PAGES = sorted(p.stem for p in (ROOT / "pages").glob("*.py"))


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    ws = Workspace(tmp_path_factory.mktemp("full"))
    ws.add(make_sample("digits"), sample=True)
    assert (
        queue.wait(ws, queue.train(ws, "digits", "pca", {"dimensions": 8}).id, timeout=120).status
        == "done"
    )
    return ws.home


def opened(page, **address):
    """The page as a browser opens it; `address` may name the dataset and the run."""
    at = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=300)
    for name, value in address.items():
        at.query_params[name] = value
    at.run()
    return at if page == "home" else at.switch_page(f"../pages/{page}.py").run()


@pytest.mark.parametrize("page", PAGES)
def test_opens_on_an_empty_workspace(page, tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTBOX_HOME", str(tmp_path))
    assert not opened(page).exception


@pytest.mark.parametrize("page", PAGES)
def test_opens_with_a_run(page, full, monkeypatch):
    monkeypatch.setenv("LIGHTBOX_HOME", str(full))
    assert not opened(page).exception


def test_a_dataset_chosen_after_a_training_stays_open(full, monkeypatch):
    monkeypatch.setenv("LIGHTBOX_HOME", str(full))
    ws = Workspace(full)
    ws.add(make_sample("breast-cancer"), sample=True)
    at = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=300).run()
    at.session_state["dataset"], at.session_state["training"] = "digits", ws.runs("digits")[0].id
    at = at.switch_page("../pages/train.py").run()
    assert not at.exception
    box = next(b for b in at.main.selectbox if b.label == "Data")
    box.select("breast-cancer").run()
    assert not at.exception
    assert at.session_state["dataset"] == "breast-cancer"


@pytest.mark.parametrize("card", [True, False])
def test_the_training_form_asks_only_what_this_data_and_this_machine_have_a_use_for(
    full, monkeypatch, card
):
    from app.panels import train_form

    monkeypatch.setenv("LIGHTBOX_HOME", str(full))
    monkeypatch.setattr(train_form, "gpu_here", lambda: card)
    asked = [box.label for box in opened("train").main.selectbox]
    assert ("Computed on" in asked) == card
    assert "volumes" not in asked, "digits are pictures"


@pytest.mark.parametrize("cards", [["0"], ["0", "1"]])
def test_several_gpus_are_offered_where_there_are_some(full, monkeypatch, cards):
    from app.panels import train_form
    from core.method import Method

    monkeypatch.setenv("LIGHTBOX_HOME", str(full))
    monkeypatch.setattr(train_form, "gpu_here", lambda: True)
    monkeypatch.setattr(train_form, "_cards", lambda: cards)
    monkeypatch.setattr(Method, "shares_batches", True)
    at = opened("train")
    assert not at.exception
    asked = {box.label: box for box in at.main.number_input}
    assert ("GPUs" in asked) == (len(cards) > 1)
    if len(cards) > 1:
        assert (asked["GPUs"].value, asked["GPUs"].max) == (1, 2)


def test_two_runs_of_a_long_name_read_differently_where_they_are_chosen():
    from app import navigation, text

    def job(id):
        fields = {f: None for f in Job.__dataclass_fields__}
        return Job(
            **fields
            | {
                "id": id,
                "method": "osuda",
                "created": 0.0,
                "label": "",
                "spec": {"only": "hospital=a very long name of a site"},
            }
        )

    a, b = (text.plain(navigation.run_title(job(id))) for id in ("aaaa1", "bbbb2"))
    assert a != b
    assert a.endswith("aaaa")
    assert "a very" in a, "the value tells two sites apart, not the column"


def test_a_map_that_failed_is_told_and_drawn_again_only_on_request(full, monkeypatch):
    monkeypatch.setenv("LIGHTBOX_HOME", str(full))
    ws = Workspace(full)
    run, spec = ws.runs("digits")[0], {"how": "tsne", "dims": 3}
    failed = Job(
        id="failedmap0",
        kind="map",
        dataset=run.dataset,
        on_run=run.id,
        spec=spec,
        key=queue.derived_key(ws, run, "map", spec, 0),
        status="failed",
        error="Too few.",
    )
    ws.catalogue.add_job(failed)
    at = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=300).run()
    at.session_state["dataset"], at.session_state["run"] = "digits", run.id
    at.session_state["kept-map-how"], at.session_state["kept-map-dims"] = "tsne", 3
    at = at.switch_page("../pages/latent.py").run().run()
    assert not at.exception
    assert [e.value for e in at.error] == ["Too few\\."]
    assert len(ws.catalogue.jobs(key=failed.key)) == 1
    next(b for b in at.button if b.label == "Try again").click().run()
    assert len(ws.catalogue.jobs(key=failed.key)) == 2
    queue.cancel(ws, ws.catalogue.jobs(key=failed.key)[-1].id)


def test_a_run_that_cannot_go_on_offers_to_start_anew_and_its_notes_are_read(full, monkeypatch):
    monkeypatch.setenv("LIGHTBOX_HOME", str(full))
    ws = Workspace(full)
    from app.text import label

    run = ws.runs("digits")[0]
    ws.folder("failedrun0").mkdir()
    ws.catalogue.add_job(
        Job(
            id="failedrun0",
            kind="train",
            dataset=run.dataset,
            method="pca",
            spec=run.spec,
            status="failed",
            error="This run cannot go on.",
            note="First *note*.\nSecond note.",
            resume=1,
        )
    )
    at = opened("runs")
    assert [n.value for n in at.info] == [f"{label('First *note*.')}  \n{label('Second note.')}"]
    assert "Resume" in [b.label for b in at.button]
    next(b for b in at.button if b.label == "Start from scratch").click().run()
    job = queue.wait(ws, "failedrun0", timeout=120)
    assert (job.status, job.resume, job.note) == ("done", 0, "")


def test_results_open_on_model_facts_with_blanks_seen_and_filled_in(full, monkeypatch):
    from core.workspace import notes

    monkeypatch.setenv("LIGHTBOX_HOME", str(full))
    ws = Workspace(full)
    run = ws.runs("digits")[0].id

    def shown():
        at = opened("results", dataset="digits", run=run)
        assert not at.exception
        return [unexplained(m.value) for m in at.markdown]

    said = shown()
    assert "**Known failures:** :orange[not stated]" in said
    assert any("**On cases it did not learn from:** the test part" in m for m in said)
    figures = next(m for m in said if m.startswith("- "))
    assert "linear probe accuracy" in figures, figures
    notes.state_model_facts(ws, run, {"known failures": "blurred  *ones*\n"}, "Dr Ada")
    assert any(r"blurred \*ones\* :gray[(Dr Ada," in m for m in shown())
    notes.state_model_facts(ws, run, {"known failures": ""})
    assert "**Known failures:** :orange[not stated]" in shown()
    with pytest.raises(UserError, match="cannot be stated"):
        notes.state_model_facts(ws, run, {"price": "low"})
    with pytest.raises(UserError, match="at most 1,000"):
        notes.state_model_facts(ws, run, {"intended use": "all", "when to stop": "x" * 1001})
    assert not notes.load_model_facts(ws, run), "nothing is kept of what was refused"


def test_a_link_to_a_run_that_is_going_says_how_far_it_is(full, monkeypatch):
    monkeypatch.setenv("LIGHTBOX_HOME", str(full))
    ws = Workspace(full)
    job = Job(id="0123456789", kind="train", dataset=ws.entry("digits")["id"], method="pca")
    ws.catalogue.add_job(job)
    (ws.home / "runs" / job.id).mkdir()
    ws.catalogue.set_job(job.id, status="failed", error="The disk is full.")
    at = opened("latent", dataset="digits", run=job.id)
    assert not at.exception
    assert any("gave nothing to show" in m.value for m in at.markdown)
    assert any("The disk is full" in e.value for e in at.error)
    ws.catalogue.set_job(job.id, status="cancelled", error="")


def test_a_run_without_coordinates_says_why_it_has_no_map(full, monkeypatch):
    monkeypatch.setenv("LIGHTBOX_HOME", str(full))
    ws = Workspace(full)
    run = queue.wait(ws, queue.train(ws, "digits", "brightness", {}).id, timeout=120)
    assert run.status == "done", run.error
    at = opened("latent", dataset="digits", run=run.id)
    assert not at.exception
    assert any("places no cases in a latent space" in i.value for i in at.info)
    with pytest.raises(UserError, match="no map of it"):
        queue.derive(ws, "map", run.id, {"how": "auto", "dims": 2})

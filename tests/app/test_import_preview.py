"""Before the import: pictures, the list of what could say who somebody is, and its acceptance."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from app.panels import column_roles
from core.jobs import queue
from core.workspace import notes, uploads
from core.workspace.import_request import REQUEST
from core.workspace.workspace import Workspace
from tests.data._dicom import stack


@pytest.fixture
def ws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("LIGHTBOX_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(queue, "ensure_supervisor", lambda ws: None)
    return Workspace(tmp_path / "home")


def asked(ws: Workspace, name: str, data: bytes) -> AppTest:
    """The Data page with an upload that waits to be imported."""
    kept = uploads.store_upload(ws, [(name, io.BytesIO(data))])
    at = (
        AppTest.from_file("../../app/main.py", default_timeout=300)
        .run()
        .switch_page("../pages/data.py")
        .run()
    )
    at.button(key=f"continue-{kept.folder.name}").click().run()
    assert not at.exception
    return at


def said(at: AppTest) -> str:
    return " ".join(e.value for e in [*at.markdown, *at.caption]).replace("\\", "")


def importing(at: AppTest) -> Any:
    return next(b for b in at.button if b.label == "Accept and import")


def request(ws: Workspace) -> dict[str, Any]:
    (place,) = (ws.home / "runs").glob(f"*/{REQUEST}")
    return json.loads(place.read_text())["options"]


def chest() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        for name, level in (("NORMAL", 60), ("PNEUMONIA", 200)):
            for i in range(8):
                png = io.BytesIO()
                Image.fromarray(np.full((28, 28), level + i, np.uint8)).save(png, "PNG")
                z.writestr(f"{name}/{i}.png", png.getvalue())
    return out.getvalue()


def test_pictures_by_class_the_list_and_who_accepted_it(ws: Workspace) -> None:
    at = asked(ws, "chest.zip", chest())
    words = said(at)
    for part in (
        "**NORMAL** · 6 of 8",
        "**PNEUMONIA** · 6 of 8",
        "Looked at 12 of 16 files",
        "**Removed**: notes of the camera",
        "**Not removed: look for yourself**: text burnt into the picture",
        "no certified de-identification",
    ):
        assert part in words, part
    assert any("auto-detect: folder (a guess)" in s.options for s in at.selectbox)
    assert not at.checkbox
    next(t for t in at.text_input if t.label == "Your name").input("A. Reader").run()
    importing(at).click().run()
    options = request(ws)
    assert options["accepted"]["by"] == "A. Reader"
    assert [e["happens"] for e in options["accepted"]["list"]] == [
        "removed",
        "kept",
        "not removed",
        "not removed",
    ]
    assert notes.load_author(ws) == "A. Reader"


def test_columns_that_name_people_are_proposed_to_go(ws: Workspace) -> None:
    rows = "".join(f"Jane{i},P{i % 9},{i},{i * 7 % 5},{'ab'[i % 2]}\n" for i in range(40))
    at = asked(ws, "t.csv", f"first_name,patient,age,crp,dx\n{rows}".encode())
    assert "1 column seems to name people" in said(at)
    assert "**Removed**: column “first_name” (names of people)" in said(at)
    importing(at).click().run()
    options = request(ws)
    assert (options["remove"], options["replace"]) == (["first_name"], [])
    assert "first_name" not in options["roles"]


def test_what_stays_in_the_pictures_has_to_be_known(ws: Workspace, tmp_path: Path) -> None:
    stack(
        tmp_path,
        np.random.default_rng(0).integers(0, 900, (8, 16, 16)),
        "axial",
        PatientName="CANARY^Jane",
        BodyPartExamined="HEAD",
    )
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        for path in tmp_path.glob("*.dcm"):
            z.write(path, f"CANARY/{path.name}")
    at = asked(ws, "scan.zip", out.getvalue())
    assert "patient name" in said(at)
    assert "CANARY" not in said(at)
    assert importing(at).disabled
    assert at.checkbox[0].label == "I know that these files may show faces in scans of the head"
    at.checkbox[0].check().run()
    assert not importing(at).disabled


def test_roles_and_fates_that_do_not_go_together() -> None:
    roles = {"who": "patient", "dx": "outcome", "age": "input"}
    assert column_roles.clash_of_fates(roles, {"age": "remove"}) is None
    assert column_roles.clash_of_fates(roles, {"who": "replace"}) is None
    assert "“who” is the patient and cannot be removed" in str(
        column_roles.clash_of_fates(roles, {"who": "remove"})
    )
    assert "“dx” is the outcome" in str(column_roles.clash_of_fates(roles, {"dx": "replace"}))


def test_what_was_accepted_is_told_with_the_data(tmp_path: Path) -> None:
    def script() -> None:
        from types import SimpleNamespace

        from app.panels import privacy

        accepted = {
            "by": "A. Reader",
            "at": "2026-01-02T03:04:05+00:00",
            "looked": "Looked at 1 of 1 file",
            "entries": 1,
            "list": [{"what": "PatientName", "happens": "removed", "found": "", "why": ""}],
        }
        gate = {"removed": {"PatientName": 3, "PatientAddress": 1}, "profile": ["x"]}
        privacy._accepted(accepted, gate)
        privacy.show(SimpleNamespace(card={"accepted": accepted}))  # type: ignore[arg-type]

    at = AppTest.from_function(script, default_timeout=300).run()
    assert not at.exception
    words = said(at)
    assert (
        "Accepted before the import by A. Reader, 2026-01-02 03:04 UTC: a list of 1 entry" in words
    )
    assert "dropped as well: patient address." in words


def test_a_role_is_a_chip_that_a_press_changes(ws: Workspace) -> None:
    rows = "".join(f"P{i % 9},{i},{i * 7 % 5},{'ab'[i % 2]}\n" for i in range(40))
    at = asked(ws, "t.csv", f"patient,age,crp,dx\n{rows}".encode())
    chips = {c.label.split("**")[1]: c for c in at.menu_button}
    assert set(chips) == {"patient", "age", "crp", "dx"}
    assert chips["crp"].label.startswith("**crp** · input")
    assert chips["dx"].label.startswith("**dx** · outcome")
    chips["crp"].click("left out").run()
    assert not at.exception
    again = {c.label.split("**")[1]: c.label for c in at.menu_button}
    assert again["crp"] == "**crp** · left out"
    assert again["age"].startswith("**age** · input")
    importing(at).click().run()
    assert request(ws)["roles"] == {"crp": "left out"}


def test_of_very_many_columns_the_list_holds_the_roles(ws: Workspace) -> None:
    names = [f"c{k}" for k in range(column_roles.CHIPS)]
    rows = "".join(",".join(str((i * k) % 7) for k in range(len(names))) + ",a\n" for i in range(9))
    at = asked(ws, "t.csv", f"{','.join(names)},dx\n{rows}".encode())
    assert not at.menu_button
    assert not at.exception


def test_names_of_files_that_come_in_as_they_are_can_be_looked_at(ws: Workspace) -> None:
    at = asked(ws, "chest.zip", chest())
    assert any(e.label == "Names that come in as they are (16 files)" for e in at.expander)
    assert any(
        "NORMAL/0.png" in d.value["Name"].tolist() for d in at.dataframe if "Name" in d.value
    )

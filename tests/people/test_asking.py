"""Whatever changes something in a workspace asks first, and is refused by role: nothing changes
then, and one line says so, by ids.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import sqlite3
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.errors import UserError
from core.jobs import queue
from core.people.access import Access
from core.people.register import Register
from core.people.roles import ALLOWED, ROLES, NotAllowed
from core.report import story
from core.workspace import left_out, membership, notes, readings, records, review, searches, uploads
from core.workspace.catalogue import Job
from core.workspace.import_request import write_request
from core.workspace.workspace import Workspace
from tests.people import asking
from tests.store.test_review import named

ANA, BO = "ana@hospital.example", "bo@hospital.example"
CANARY = "Musterfrau"  # stands in every name, reason and note that a person writes here
RUN, MAP, IMPORT, PIN = "0000000001", "0000000002", "0000000003", "pin1"

# Below the workspace: told a folder or a catalogue, by what has asked
BELOW = {
    *("catalogue.py", "databases.py", "import_request.py", "notices.py"),
    *("records.py", "server_catalogue.py", "upgrade.py"),
}
# Writes, and need not ask at its first line
EXPLAINED = {
    "notes.save_author": "keeps a name only where nobody signs in",
    "notes.keep_groups": "its caller has asked",
    "uploads.remove_old_uploads": "housekeeping; does nothing for who may not import",
    "queue.discard_import": "asks through Workspace.remove_run before it removes anything",
    "queue.ensure_supervisor": "sees that a process is there for what was asked for before",
    "workspace.Workspace.key": "made once, at its first use",
    "workspace.Workspace.recount": "what the decisions say, counted",
    "workspace.Workspace.artifact": "what can be computed again, in the cache",
    "workspace.Workspace.artifact_folder": "what can be computed again, in the cache",
}
# Of app, whoever writes a file by itself: never into a workspace on behalf of a person
APP = {
    "app/commands/counterfactual.py save": "where the command line was told to",
    "app/commands/explore.py map_": "where the command line was told to",
    "app/commands/explore.py report": "where the command line was told to",
    "app/commands/people.py add": "on the server's own command line",
    "app/commands/people.py add_project": "on the server's own command line",
    "app/commands/people.py audit": "where the command line was told to",
    "app/commands/people.py remove": "on the server's own command line",
    "app/commands/review.py readings": "where the command line was told to",
    "app/commands/serve.py _alone": "the address of the server that runs",
    "app/commands/steer.py save": "where the command line was told to",
    "app/components/latent_map/build.py main": "the map, when it is installed",
    "app/error_log.py log_error": "errors nobody foresaw",
}


def engine_files() -> list[Path]:
    """The modules whose functions change workspaces for people."""
    places = sorted((asking.ROOT / "core" / "workspace").glob("*.py"))
    return [
        *(p for p in places if p.name not in BELOW),
        asking.ROOT / "core" / "jobs" / "queue.py",
        asking.ROOT / "core" / "report" / "story.py",
    ]


def changers() -> dict[str, bool]:
    """Public functions that change a workspace, as "module.name" -> whether they ask first."""
    return {
        f"{path.stem}.{name}": asking.asks(node, asking.imported(path))
        for path in engine_files()
        for name, node in asking.changers(path).items()
        if asking.is_public(name)
    }


def test_whatever_changes_a_workspace_asks_first():
    found = changers()
    assert len(found) > 40
    silent = {name for name, asks in found.items() if not asks}
    assert silent == set(EXPLAINED), "begin with ws.permit(act, what), or explain"


def test_no_page_writes_into_a_workspace_by_itself():
    found = {
        f"{path.relative_to(asking.ROOT)} {name}"
        for folder in ("app", "pages")
        for path in (asking.ROOT / folder).rglob("*.py")
        if "node_modules" not in path.parts
        for name, node in asking.functions(path)
        if asking.writes(node, asking.imported(path))
    }
    assert found <= set(APP), "call a function of core.workspace, which asks"


def test_the_reader_of_code_sees_each_way_to_write(tmp_path):
    module = tmp_path / "sample.py"
    module.write_text(
        "from core.io.files import remove, write_json\n"
        "def a(ws):\n    write_json(1)\n"
        "def b(ws):\n    ws.catalogue.set_job(1)\n"
        "def c(ws):\n    _d(ws)\n"
        "def _d(ws):\n    state.attempt(remove, 1)\n"
        "def e(ws):\n    path.unlink()\n"
        "def f(ws):\n    button(on_click=remove)\n"
        "def k(ws):\n    os.replace(1, 2)\n"
        "def g(ws):\n    'doc'\n    id = 1\n    ws.permit('data')\n    write_json(1)\n"
        "def h(ws):\n    write_json(1)\n    ws.permit('data')\n"
        "def i(ws):\n    x = remove(1)\n    ws.permit('data')\n"
        "def j(ws):\n    people.remove(1)\n"
    )
    found, names = asking.changers(module), asking.imported(module)
    assert set(found) == {"a", "b", "c", "_d", "e", "f", "k", "g", "h", "i"}
    assert [name for name in found if asking.asks(found[name], names)] == ["g"]


# -- each function as each role --------------------------------------------------------------------
def picture() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (4, 4)).save(out, "PNG")
    return out.getvalue()


PNG = picture()
ROWS = np.array([1, 2])


def reading(ws, shown=True) -> str:
    (one,) = [r for r in readings.list_readings(ws, CANARY) if (r.shown is not None) == shown]
    return one.id


def decision(ws) -> str:
    return review.list_decisions(ws, CANARY)[0].id


def upload(ws) -> uploads.Upload:
    return uploads.waiting_uploads(ws)[0][0]


# "module.name" -> what it is, of what a role may do, and a call of it
CALLS = {
    "left_out.leave_out": (
        "annotate",
        lambda ws: left_out.leave_out(ws, RUN, CANARY, [1], [(0, 3), (0, 3)]),
    ),
    "left_out.take_in": ("annotate", lambda ws: left_out.take_in(ws, RUN, "x")),
    "membership.set_role": (
        "people",
        lambda ws: membership.set_role(ws, "cy@hospital.example", "reviewer"),
    ),
    "notes.save_group": ("annotate", lambda ws: notes.save_group(ws, CANARY, CANARY, ROWS)),
    "notes.remove_group": ("annotate", lambda ws: notes.remove_group(ws, CANARY, f"{CANARY} g")),
    "notes.name_run": ("annotate", lambda ws: notes.name_run(ws, RUN, CANARY)),
    "notes.name_cluster": ("annotate", lambda ws: notes.name_cluster(ws, RUN, 0, CANARY)),
    "notes.set_threshold": (
        "annotate",
        lambda ws: notes.set_threshold(ws, RUN, 0.5, CANARY, author=CANARY),
    ),
    "notes.colour_by_feature": (
        "annotate",
        lambda ws: notes.colour_by_feature(ws, RUN, "embedding", 3),
    ),
    "notes.decide_lesion": ("annotate", lambda ws: notes.decide_lesion(ws, RUN, 1, 1, True)),
    "notes.save_definitions": (
        "annotate",
        lambda ws: notes.save_definitions(ws, CANARY, CANARY, [CANARY, CANARY]),
    ),
    "notes.decide_pairs": (
        "annotate",
        lambda ws: notes.decide_pairs(ws, RUN, [1], True, CANARY),
    ),
    "notes.state_model_facts": (
        "annotate",
        lambda ws: notes.state_model_facts(ws, RUN, {"intended use": CANARY}, CANARY),
    ),
    "notes.name_axis": ("annotate", lambda ws: notes.name_axis(ws, RUN, 1, CANARY)),
    "notes.undo_axis_name": ("annotate", lambda ws: notes.undo_axis_name(ws, RUN)),
    "readings.add_reading": (
        "annotate",
        lambda ws: readings.add_reading(ws, CANARY, 3, CANARY, RUN, "cat", first=True),
    ),
    "readings.show_answer": (
        "annotate",
        lambda ws: readings.show_answer(ws, CANARY, reading(ws, shown=False), "cat"),
    ),
    "readings.judge_answer": (
        "annotate",
        lambda ws: readings.judge_answer(ws, CANARY, reading(ws), "agree", CANARY),
    ),
    "readings.undo_reading": (
        "annotate",
        lambda ws: readings.undo_reading(ws, CANARY, reading(ws)),
    ),
    "review.exclude": ("annotate", lambda ws: review.exclude(ws, CANARY, ROWS, CANARY)),
    "review.release": ("data", lambda ws: review.release(ws, CANARY, None, CANARY)),
    "review.ignore": ("annotate", lambda ws: review.ignore(ws, CANARY, CANARY, CANARY)),
    "review.move": ("annotate", lambda ws: review.move(ws, CANARY, ROWS, "val", CANARY)),
    "review.relabel": (
        "annotate",
        lambda ws: review.relabel(ws, CANARY, ROWS, other_class(ws), CANARY),
    ),
    "review.name_normal": ("data", lambda ws: review.name_normal(ws, CANARY, "")),
    "review.fix_split": ("annotate", lambda ws: review.fix_split(ws, CANARY, CANARY)),
    "review.undo": ("annotate", lambda ws: review.undo(ws, CANARY, decision(ws))),
    "searches.begin_search": (
        "annotate",
        lambda ws: searches.begin_search(ws, CANARY, f"{CANARY} s", RUN, ROWS),
    ),
    "searches.answer": (
        "annotate",
        lambda ws: searches.answer(ws, CANARY, f"{CANARY} old", 2, "it"),
    ),
    "searches.undo_answer": (
        "annotate",
        lambda ws: searches.undo_answer(ws, CANARY, f"{CANARY} old"),
    ),
    "searches.remove_search": (
        "annotate",
        lambda ws: searches.remove_search(ws, CANARY, f"{CANARY} old"),
    ),
    "uploads.store_upload": (
        "data",
        lambda ws: uploads.store_upload(ws, [(f"{CANARY}.csv", io.BytesIO(b"a,b\n1,2\n"))]),
    ),
    "uploads.remove_upload": ("data", lambda ws: uploads.remove_upload(ws, upload(ws))),
    "workspace.Workspace.add": (
        "data",
        lambda ws: ws.add(replace(named(), name=f"{CANARY} twice")),
    ),
    "workspace.Workspace.remove_dataset": ("data", lambda ws: ws.remove_dataset(CANARY)),
    "workspace.Workspace.remove_run": ("train", lambda ws: ws.remove_run(RUN)),
    "workspace.Workspace.list_files": ("data", lambda ws: ws.list_files(CANARY)),
    "queue.train": ("train", lambda ws: queue.train(ws, CANARY, "pca", label=CANARY)),
    "queue.apply": ("train", lambda ws: queue.apply(ws, RUN, CANARY)),
    "queue.measure_card": ("train", lambda ws: queue.measure_card(ws, "pca", {})),
    "queue.import_data": ("data", lambda ws: queue.import_data(ws, upload(ws).path, CANARY + "2")),
    "queue.discard_import": ("data", lambda ws: queue.discard_import(ws, IMPORT)),
    "queue.derive": (
        "compute",
        lambda ws: queue.derive(ws, "explain", RUN, {"of": CANARY}),
    ),
    "queue.cancel": ("train", lambda ws: queue.cancel(ws, RUN)),
    "queue.resume": ("data", lambda ws: queue.resume(ws, IMPORT)),
    "story.add_pin": ("annotate", lambda ws: story.add_pin(ws, PNG, CANARY, {})),
    "story.change_pin": ("annotate", lambda ws: story.change_pin(ws, PIN, CANARY)),
    "story.move_pin": ("annotate", lambda ws: story.move_pin(ws, PIN, 1)),
    "story.remove_pin": ("annotate", lambda ws: story.remove_pin(ws, PIN)),
    "story.restore_pin": (
        "annotate",
        lambda ws: story.restore_pin(ws, story.Pin("pin2", CANARY)),
    ),
}
# calls of one function that are another act, for what they are about
MORE = {
    "take a role away": ("people", lambda ws: membership.set_role(ws, ANA, None)),
    "change a role": ("people", lambda ws: membership.set_role(ws, ANA, "viewer")),
    "remove a map": ("compute", lambda ws: ws.remove_run(MAP)),
    "cancel a map": ("compute", lambda ws: queue.cancel(ws, MAP)),
    "remove an import": ("data", lambda ws: ws.remove_run(IMPORT)),
    "undo a release": (
        "data",
        lambda ws: review.undo(ws, CANARY, review.list_decisions(ws, CANARY)[-1].id),
    ),
}


def other_class(ws) -> str:
    data = ws.dataset(CANARY, whole=True)
    return data.classes[1 - int(data.labels[1])]


def test_every_function_that_asks_is_called_here():
    through_others = {"queue.discard_import", "notes.save_group", "notes.remove_group"}
    asked = {name for name in changers() if name not in EXPLAINED} | through_others
    assert set(CALLS) == asked


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A project with something of everything that can be changed, and a register beside it."""
    folder = tmp_path_factory.mktemp("server") / "projects"
    register = Register(folder)
    register.add_project("lung")
    register.set_role("lung", "ana@hospital.example", "owner")
    ws = Workspace(folder / "lung")
    ws.add(replace(named(held=(4, 17)), name=CANARY))
    id = ws.entry(CANARY)["id"]
    for job in (
        Job(RUN, "train", id, "pca", status="done"),
        Job(MAP, "map", id, "pca", RUN, status="done"),
        Job(IMPORT, "import", "", status="failed"),
    ):
        (ws.folder(job.id) / "artifacts").mkdir(parents=True)
        records.write_record(ws.home, job)
        ws.catalogue.add_job(job)
    write_request(ws.folder(IMPORT), folder / "gone.zip", CANARY, {}, None)
    uploads.store_upload(ws, [(f"{CANARY}.csv", io.BytesIO(b"a\n1\n"))])
    notes.save_group(ws, CANARY, f"{CANARY} g", ROWS)
    notes.name_axis(ws, RUN, 1, f"{CANARY} a")
    searches.begin_search(ws, CANARY, f"{CANARY} old", RUN, ROWS)
    story.restore_pin(ws, story.Pin(PIN, CANARY))
    story.restore_pin(ws, story.Pin("pin3", CANARY))
    for row in (1, 2):
        one = readings.add_reading(ws, CANARY, row, BO, RUN, "cat", first=True)
        if row == 1:
            readings.show_answer(ws, CANARY, one.id, "cat")
    review.ignore(ws, CANARY, CANARY, CANARY)
    review.release(ws, CANARY, np.array([17]), CANARY)
    ws.catalogue.engine.dispose()
    with sqlite3.connect(ws.home / "catalogue.db") as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return folder


def state_of(home: Path) -> dict[str, str]:
    """Every file of a workspace by its content; the catalogue by its lines."""
    found = {
        str(p.relative_to(home)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(home.rglob("*"))
        if p.is_file() and not p.name.startswith("catalogue.db")
    }
    with sqlite3.connect(home / "catalogue.db") as db:
        return found | {"catalogue": "\n".join(db.iterdump())}


@pytest.fixture
def seen(made, tmp_path, monkeypatch):
    """The workspace as somebody with a role sees it, in a copy; no process starts."""
    monkeypatch.setattr(queue, "start_supervisor", lambda home: "")
    monkeypatch.setattr(queue, "reconcile", lambda ws: None)

    def look(role: str) -> Workspace:
        folder = tmp_path / "projects"
        shutil.copytree(made, folder)
        register = Register(folder)
        register.set_role("lung", BO, role)
        return Workspace(folder / "lung").seen_by(Access(BO, role, "lung", "10.0.0.7", register))

    return look


ALL = CALLS | MORE
REFUSED = [(r, n) for r in ROLES for n, (act, _) in ALL.items() if act not in ALLOWED[r]]
PERMITTED = [(r, n) for r in ROLES for n, (act, _) in ALL.items() if act in ALLOWED[r]]


@pytest.mark.parametrize(("role", "name"), REFUSED)
def test_what_a_role_may_not_do_changes_nothing(role, name, seen):
    act, call = ALL[name]
    ws = seen(role)
    before = state_of(ws.home)
    with pytest.raises(NotAllowed, match=f"As {role} of this project you may not"):
        call(ws)
    assert state_of(ws.home) == before
    (line,) = ws.access.register.lines()
    assert line.act == "refused"
    assert line.what.startswith(act)
    assert CANARY not in line.what


@pytest.mark.parametrize("name", list(ALL))
def test_what_a_role_may_do_is_listed_once_by_ids(name, seen):
    act, call = ALL[name]
    ws = seen("owner")
    with suppress(UserError):  # of what the data or the run cannot do, once it was permitted
        call(ws)
    lines = list(ws.access.register.lines())
    assert [line.act for line in lines] == ([] if act == "compute" else [act])
    assert all(line.person == BO and line.place == "10.0.0.7" for line in lines)
    assert all(line.what and CANARY not in line.what for line in lines)


# -- whose name it bears ---------------------------------------------------------------------------
def test_who_is_signed_in_is_the_author_of_all_they_say(seen):
    ws = seen("owner")
    assert notes.load_author(ws) == notes.save_author(ws, CANARY) == BO
    notes.set_threshold(ws, RUN, 0.5, "why", author=CANARY)
    notes.decide_pairs(ws, RUN, [1], True, CANARY)
    notes.decide_lesion(ws, RUN, 1, 1, True)
    notes.state_model_facts(ws, RUN, {"intended use": "none"}, CANARY)
    assert notes.load_threshold(ws, RUN)["author"] == BO
    assert notes.load_pair_decisions(ws, RUN)[1]["author"] == BO
    assert notes.load_lesion_decisions(ws, RUN)["1-1"]["author"] == BO
    assert notes.load_model_facts(ws, RUN)["intended use"]["author"] == BO
    assert review.exclude(ws, CANARY, ROWS, "why").author == BO
    assert review.list_decisions(ws, CANARY)[-1].author == BO
    assert readings.add_reading(ws, CANARY, 5, CANARY, RUN, "cat", first=True).reader == BO
    job = queue.import_data(ws, upload(ws).path, "more", {"accepted": {"by": CANARY, "of": 1}})
    asked = json.loads((ws.folder(job.id) / "request.json").read_text())
    assert asked["options"]["accepted"] == {"by": BO, "of": 1}
    assert not (ws.home / "author.json").exists()


def test_a_reading_is_changed_by_who_read_only(seen):
    ws = seen("owner")
    ws.access.register.set_role("lung", "cy@hospital.example", "owner")
    other = ws.seen_by(replace(ws.access, person="cy@hospital.example"))
    with pytest.raises(UserError, match="somebody else’s reading"):
        readings.judge_answer(other, CANARY, reading(ws), "agree")
    with pytest.raises(UserError, match="somebody else’s reading"):
        readings.undo_reading(other, CANARY, reading(ws))


def test_where_nobody_signs_in_files_are_as_before(tmp_path):
    ws = Workspace(tmp_path)
    ws.add(named())
    review.exclude(ws, "films", ROWS, "why")
    (path,) = (ws.dataset_folder("films") / "review").iterdir()
    assert "author" not in json.loads(path.read_text())
    assert notes.save_author(ws, "A. Reader") == notes.load_author(ws) == "A. Reader"
    one = readings.add_reading(ws, "films", 1, "A. Reader", RUN, "cat", first=True)
    assert one.reader == "A. Reader"


def test_housekeeping_of_uploads_is_for_who_may_import(seen, monkeypatch):
    monkeypatch.setattr(uploads, "OLD", -1.0)
    ws = seen("viewer")
    uploads.remove_old_uploads(ws)
    assert uploads.waiting_uploads(ws)
    ws.access.register.set_role("lung", BO, "owner")
    uploads.remove_old_uploads(ws)
    assert not uploads.waiting_uploads(ws)

"""Logs hold no word of the data: imports that fail on files full of canaries, and errors nobody
foresaw.
"""

import io
import os
import subprocess
import sys
import zipfile

import pytest

from core.errors import private_traceback
from core.jobs import queue
from core.workspace import uploads
from core.workspace.workspace import Workspace
from tests.data.make import edf
from tests.hostile._make import dicom, nifti, png, rng

pytestmark = pytest.mark.processes

CANARY = "Quokkabert"


def phi_dicom():
    """A file whose every text is a canary, and whose numbers are no numbers."""
    import pydicom

    made = pydicom.dcmread(io.BytesIO(dicom()))
    made.PatientName, made.PatientID, made.StudyDescription = f"{CANARY}^A", CANARY, CANARY
    made.add_new(0x00091001, "LO", CANARY)
    out = io.BytesIO()
    made.save_as(out, enforce_file_format=True)
    return out.getvalue()


FILES = {
    "good.dcm": phi_dicom,
    "cut.dcm": lambda: phi_dicom()[:-40],
    "odd.dcm": lambda: phi_dicom().replace(b"0\\0\\0 ", f"{CANARY[:6]}".encode()),
    "words.csv": lambda: f"name,x\n{CANARY},1\n{CANARY},inf\n".encode(),
    "ragged.csv": lambda: f"name,x\n{CANARY},1\n{CANARY}\n".encode(),
    "cut.png": lambda: png()[:60],
    "text.png": lambda: CANARY.encode() * 9,
    "cut.nii": lambda: nifti()[:400],
    "x.edf": lambda: edf(
        rng().normal(size=(2, 640)),
        16,
        patient=f"{CANARY} F 01-JAN-1950 {CANARY}",
        samples=b"nought",
    ),
    "x.npz": lambda: CANARY.encode(),
    "x.parquet": lambda: b"PAR1" + CANARY.encode(),
    "x.fasta": lambda: f">{CANARY}\nACGT!{CANARY}\n".encode(),
}


def logs(home):
    """Every log of a workspace: of jobs, of the supervisor, of unforeseen errors."""
    found = [*home.rglob("*.log"), *home.rglob("log.txt"), *home.rglob("*.jsonl")]
    return {p: p.read_text(errors="replace") for p in found}


@pytest.mark.timeout(600)
def test_imports_that_fail_leave_no_canary_in_any_log(tmp_path):
    """Fault 29 in logs: names in files, of files and of folders: the logs of the import, of the
    supervisor and of errors hold none of them.
    """
    ws = Workspace(tmp_path / "home")
    ended = []
    for name, made in FILES.items():
        came = uploads.store_upload(
            ws,
            [
                (f"{CANARY} ward/{CANARY} {name}", io.BytesIO(made())),
                ("note.txt", io.BytesIO(b"x")),
            ],
        )
        ended.append(
            queue.import_data(ws, came.path, "data " + name.replace(".", " "), {}, came.folder).id
        )
    for id in ended:
        queue.wait(ws, id, timeout=500)
    jobs = [ws.job(i) for i in ended]
    assert sum(j.status == "failed" for j in jobs) >= 9
    assert not [j.error for j in jobs if j.bug], "a bug, not a sentence"
    told = logs(ws.home)
    assert len(told) >= len(FILES)
    for path, words in told.items():
        for canary in (CANARY, CANARY.lower(), CANARY[:6]):
            assert canary not in words, path.name


def test_a_bug_while_importing_is_logged_without_what_it_says(tmp_path):
    """An unforeseen error in a reader whose message quotes the file: the log has type and place,
    not the message.
    """
    place = tmp_path / "plant"
    place.mkdir()
    (place / "sitecustomize.py").write_text(
        "import core.data.readers.joined_tables as tables\ndef broken(*a, **k):\n    raise"
        " KeyError(f'no such patient: {a}')\ntables.read_words = tables.read_raw_table = broken\n"
    )
    home, source = tmp_path / "home", tmp_path / "a.csv"
    source.write_text(f"name,x\n{CANARY},1\n{CANARY},2\n")
    root = os.environ.get("PYTHONPATH", "")
    code = (
        "import sys\nfrom pathlib import Path\nfrom core.jobs import queue\nfrom"
        " core.workspace.workspace import Workspace\nws = Workspace(Path(sys.argv[1]))\njob ="
        " queue.wait(ws, queue.import_data(ws, Path(sys.argv[2]), 'x').id,"
        " timeout=500)\nprint(job.status, bool(job.bug), job.error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(home), str(source)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [str(place), root]))},
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.stdout.startswith("failed True Something went wrong inside"), (
        done.stdout + done.stderr
    )
    words = "".join(logs(home).values())
    assert "KeyError" in words
    assert "sitecustomize.py" in words
    assert CANARY not in words
    assert "what it says is left out" in words


def test_a_trace_tells_where_and_not_what():
    """Quoted parts of messages are left out, causes are told, the frames stay."""

    def fails():
        try:
            {}[CANARY]
        except KeyError as e:
            raise ValueError(f'cannot use “{CANARY}” with "{CANARY}" of shape (3, 4)') from e

    try:
        fails()
    except ValueError as e:
        words, bare = private_traceback(e), private_traceback(e, words=False)
    assert CANARY not in words + bare
    assert "shape (3, 4)" in words
    assert "shape" not in bare.replace("of shape (3, 4)')", "")
    for told in (words, bare):
        assert (
            told.index("KeyError")
            < told.index("which led to")
            < told.index("ValueError: cannot" if told is words else "ValueError (what")
        )
        assert "in fails" in told


def test_a_zip_of_canaries_is_named_nowhere_else(tmp_path):
    """What was asked stands in the job's folder until the import has ended, then nowhere."""
    ws = Workspace(tmp_path / "home")
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        z.writestr(f"{CANARY}/a.png", b"no picture")
    came = uploads.store_upload(ws, [(f"{CANARY}.zip", io.BytesIO(out.getvalue()))])
    job = queue.wait(ws, queue.import_data(ws, came.path, "x", {}, came.folder).id, timeout=500)
    assert job.status == "failed"
    assert not [p for p in ws.home.rglob("*") if CANARY in p.name]
    assert not [
        p for p in ws.folder(job.id).rglob("*") if p.is_file() and CANARY.encode() in p.read_bytes()
    ]

"""Each limit is shown in words, and is enforced: lowered here, so that a small file passes it."""

import re

import numpy as np
import pandas as pd
import pytest

from core import limits
from core.data.readers import read
from core.errors import UserError
from core.workspace.workspace import Workspace
from tests.data.make import edf
from tests.hostile._make import dicom, fasta, nifti, npz, png, rng, zipped

PICTURES = {f"{i}.png": png(i) for i in range(4)}


def _member_alone(monkeypatch, tmp_path):
    """FILE_BYTES holds for a file on disk and for one inside a zip, without reading it."""
    (tmp_path / "big.csv").write_bytes(b"a,b\n" + b"1,2\n" * 999)
    (tmp_path / "z.zip").write_bytes(zipped({"big.csv": b"a,b\n" + b"1,2\n" * 999}))
    for path in ("big.csv", "z.zip"):
        with pytest.raises(UserError, match=r"big\.csv is larger than"):
            read(tmp_path / path)


def _served_with(monkeypatch, tmp_path):
    """UPLOAD_BYTES is what the server is started with."""
    import os

    from app.commands import serve

    given = []
    monkeypatch.setattr(os, "execve", lambda _, args, env: given.extend(args))
    monkeypatch.setattr(os, "chdir", lambda _: None)
    monkeypatch.setattr(serve, "workspace", lambda: Workspace(tmp_path))
    monkeypatch.setattr(serve, "_free", lambda *_: None)
    serve.app(port=8607)
    assert "--server.maxUploadSize=3" in given


def _preview(monkeypatch, tmp_path):
    """The defaults of a look in a process of its own."""
    import inspect

    from core import sandbox

    defaults = inspect.signature(sandbox.run).parameters
    assert defaults["seconds"].default == limits.PREVIEW_SECONDS
    assert defaults["memory"].default == limits.READER_MEMORY


def _bring(name, data, said):
    def tried(monkeypatch, tmp_path):
        (tmp_path / name).write_bytes(data() if callable(data) else data)
        with pytest.raises(UserError, match=said):
            read(tmp_path / name)

    return tried


def _folder(monkeypatch, tmp_path):
    """MEMBERS holds for folders, whose files are not even listed beyond it, and for zips."""
    (tmp_path / "d").mkdir()
    for name, data in PICTURES.items():
        (tmp_path / "d" / name).write_bytes(data)
    (tmp_path / "z.zip").write_bytes(zipped(PICTURES))
    with pytest.raises(UserError, match="d holds more than 3 files"):
        read(tmp_path / "d")
    with pytest.raises(UserError, match=r"z\.zip holds 4 files; at most 3"):
        read(tmp_path / "z.zip")


def _report(monkeypatch, tmp_path):
    from core.report import html

    with pytest.raises(UserError, match="The file would be"):
        html._check_pins("x" * 2000)


def _outlines(monkeypatch, tmp_path):
    """OUTLINES holds in the methods that draw: too many pictures are declined, with the limit."""
    from core.data.dataset import Dataset
    from core.registry import method_class

    data = Dataset(
        "x",
        "image",
        pd.DataFrame({"a": range(40)}),
        np.zeros((40, 1, 64, 64), np.uint8),
        np.ones((40, 64, 64), np.uint8),
    )
    film = Dataset(
        "x",
        "image",
        pd.DataFrame({"clip": ["a"] * 40, "time": range(40)}),
        data.samples,
        data.masks,
        {"sequence": "clip", "time": "time"},
    )
    for method, on in (("unet_plus_plus", data), ("cine_tracker", film)):
        assert "would need more than" in method_class(method)().declines(on)


def _glanced(monkeypatch, tmp_path):
    """PREVIEW bounds what is read of a table to show its first lines."""
    from core.data.readers import preview

    (tmp_path / "a.csv").write_bytes(b"a,b\n" + b"1,2\n" * 999)
    seen = preview(tmp_path / "a.csv")
    assert (seen["looked"], seen["whole"]) == (23, False)


def _classes(monkeypatch, tmp_path):
    from core.data.labels import why_no_classes

    (tmp_path / "a.csv").write_text(
        "x,label\n" + "\n".join(f"{i},{'abcd'[i % 4]}" for i in range(40))
    )
    assert "4 different values in 40 cases" in why_no_classes(read(tmp_path / "a.csv"))


def _listed(monkeypatch, tmp_path):
    from core.data import allowed_folders

    monkeypatch.setenv("LIGHTBOX_FOLDERS", str(tmp_path))
    for i in range(5):
        (tmp_path / f"d{i}").mkdir()
        (tmp_path / f"{i}.csv").write_text("x")
    assert [len(found) for found in allowed_folders.list_entries(tmp_path)] == [2, 2]


def _import_memory(monkeypatch, tmp_path):
    """The import's process bounds itself, and gives its network away, before it looks at
    anything.
    """
    from core import sandbox
    from core.jobs import import_dataset
    from core.workspace.catalogue import Job
    from core.workspace.workspace import Workspace

    done = []
    monkeypatch.setattr(sandbox, "limit", lambda *a: done.append(a))
    monkeypatch.setattr(sandbox, "offline", lambda: done.append("offline"))
    job = Job(id="abcdefghij", kind="import", dataset="", method="")
    with pytest.raises(UserError, match="no longer here"):
        import_dataset.import_data(Workspace(tmp_path), job, None)
    assert "offline" in done
    assert (limits.IMPORT_MEMORY,) in done


def _previewed(monkeypatch, tmp_path):
    """PREVIEW bounds what a first look reads of a table."""
    from core.data.readers import files, preview

    asked = []
    real = files._reader
    monkeypatch.setattr(
        files, "_reader", lambda path: lambda most: (asked.append(most), real(path)(most))[1]
    )
    (tmp_path / "a.csv").write_bytes(b"a,b\n" + b"1,2\n" * 99_999)
    assert len(preview(tmp_path / "a.csv")["head"]) == 10
    assert max(asked) <= 4096


def nested_dicom():
    import io

    import pydicom

    made = pydicom.dcmread(io.BytesIO(dicom()))
    inner = pydicom.Dataset()
    for _ in range(6):
        outer = pydicom.Dataset()
        outer.AnatomicRegionSequence = [inner]
        outer["AnatomicRegionSequence"].is_undefined_length = True
        inner = outer
    made.AnatomicRegionSequence = [inner]
    made["AnatomicRegionSequence"].is_undefined_length = True
    out = io.BytesIO()
    made.save_as(out, enforce_file_format=True)
    return out.getvalue()


def _name(monkeypatch, tmp_path):
    from core.workspace.names import check_name

    assert check_name("abc") == "abc"
    with pytest.raises(UserError, match="1 to 3 visible"):
        check_name("abcd")


TRIED = {  # limit -> (a low value, what must then be refused)
    "UPLOAD_BYTES": (3 << 20, _served_with),
    "FILE_BYTES": (2000, _member_alone),
    "MEMBERS": (3, _folder),
    "UNPACKED": (300, _bring("z.zip", zipped(PICTURES), "unpacks to more than")),
    "RATIO": (
        2,
        _bring(
            "z.zip", zipped({"a.csv": b"a,b\n" + b"1,2\n" * 9999}), "more than 2 times its size"
        ),
    ),
    "TIGHT": (9999, _bring("a.npz", npz(x=np.zeros((99, 99, 99), np.uint8)), "200 times its size")),
    "PIXELS": (100, _bring("z.zip", zipped(PICTURES), "12 pixels; at most")),
    "COLUMNS": (2, _bring("a.csv", b"a,b,c\n1,2,3\n2,3,4\n", "3 columns; at most 2")),
    "ROWS": (5, _bring("a.csv", b"a,b\n" + b"1,2\n" * 9, "9 rows; at most 5")),
    "CLASSES": (3, _classes),
    "CELL": (
        50,
        _bring(
            "a.csv",
            b"a,b\n" + b"1,2\n" * 9 + b"x" * 51 + b",2\n",
            "line 11 holds a value of more than 50 letters; at most that many",
        ),
    ),
    "PREVIEW": (100, _glanced),
    "CHANNELS": (
        1,
        _bring("a.edf", lambda: edf(rng().normal(size=(2, 640)), 16), "2 signals; at most 1"),
    ),
    "ELEMENTS": (10, _bring("a.dcm", dicom, "more than 10 header elements")),
    "DEPTH": (3, _bring("a.dcm", nested_dicom, "nested more than 3 deep")),
    "VALUES": (100, _bring("a.nii", lambda: nifti(), "MB of samples; at most")),
    "LETTERS": (10, _bring("a.fasta", fasta, "60 letters; at most 10")),
    "NAME": (3, _name),
    "REPORT_BYTES": (1000, _report),
    "OUTLINES": (1000, _outlines),
    "LISTED": (2, _listed),
    "IMPORT_MEMORY": (5 << 20, _import_memory),
    "READER_MEMORY": (None, _preview),
    "PREVIEW_SECONDS": (None, _preview),
}


@pytest.mark.parametrize("name", TRIED)
def test_each_limit_is_enforced(monkeypatch, tmp_path, name):
    """Each limit, lowered: what was read before is refused in a sentence that gives the limit."""
    low, tried = TRIED[name]
    if low is not None:
        monkeypatch.setattr(limits, name, low)
    tried(monkeypatch, tmp_path)


def test_what_is_refused_above_was_good_below(tmp_path):
    """The files that pass a lowered limit are otherwise read."""
    for name, data in (
        ("z.zip", zipped(PICTURES)),
        ("a.csv", b"a,b,c\n1,2,3\n2,3,4\n"),
        ("a.nii", nifti()),
        ("a.fasta", fasta()),
    ):
        (tmp_path / name).write_bytes(data)
        assert len(read(tmp_path / name)) >= 2
    (tmp_path / "t.npz").write_bytes(npz(x=rng().normal(size=(9, 3))))
    assert len(read(tmp_path / "t.npz")) == 9


def test_every_limit_has_words_and_a_test():
    """A new limit needs a line in `limits.WORDS` (or INTERNAL) and one in TRIED above."""
    named = {k for k, v in vars(limits).items() if k.isupper() and isinstance(v, int | float)}
    assert named == set(limits.WORDS) | limits.INTERNAL
    assert set(limits.WORDS) == set(TRIED)


def test_limits_in_words():
    shown = dict(limits.shown())
    assert shown["one upload through the browser"] == "200 MB"
    assert shown["one picture"] == "25 million pixels"
    assert shown["files in one zip or folder"] == "20,000"
    assert all(re.search(r"\d", v) for v in shown.values())


def test_the_screen_shows_them():
    """The box on the page lists every limit."""
    from streamlit.testing.v1 import AppTest

    def box():
        from app.panels import limits_note

        limits_note.show()

    at = AppTest.from_function(box).run(timeout=60)
    assert not at.exception
    assert at.dataframe[0].value["What"].tolist() == [words for words, _ in limits.shown()]

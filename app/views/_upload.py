"""Bringing data: drop files, a preview, choose what is what, import all of it or nothing."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import streamlit as st

from app import state, text
from app.shell import page
from core import limits
from core.data.dataset import Dataset


def upload() -> None:
    """Drop files, choose what is what, import: all of it or nothing."""
    round_ = st.session_state.setdefault("upload-round", 0)
    files = st.file_uploader("Drop files here", accept_multiple_files=True, key=f"upload-{round_}",
                             help=f"Zip (sub-folder = class, a folder “masks” = truth), PNG, JPEG, TIFF, DICOM, NIfTI, npz, npy, FASTA, WFDB, CSV, Parquet; up to {limits.UPLOAD_BYTES >> 20} MB. "
                             "Names, dates and other identifying tags of DICOM files are left out.")  # fmt: skip
    if not files:
        st.caption("A zip of pictures with one folder per class is the simplest. Nothing is sent anywhere.")
        return
    folder = _copied(files)
    path = folder / _safe(files[0].name) if len(files) == 1 else folder
    seen = state.attempt(_preview, path) or {}
    if "head" in seen:
        st.caption("The first lines:")
        st.dataframe(seen["head"], hide_index=True)
    columns = seen.get("columns", [])
    with st.form("import", border=True):
        name = st.text_input("Call it", text.plain(Path(files[0].name).stem if len(files) == 1 else "my data", 60), max_chars=80)
        a, b, c = st.columns(3)
        label = a.selectbox("Label", ["find it", "none", *columns] if columns else ["find it", "folder", "none"], format_func=text.plain,
                            help="What is known about each case, e.g. the diagnosis. “folder”: the sub-folder is the class.")  # fmt: skip
        group = b.selectbox("Patient", ["find it", *columns], format_func=text.plain, help="All cases of one patient stay in the same part of the split.")
        domain = c.selectbox("Site or scanner", ["find it", *columns], format_func=text.plain)
        if st.form_submit_button("Import", type="primary"):
            chosen = {"label": {"find it": "auto"}.get(label, label), "group": None if group == "find it" else group, "domain": None if domain == "find it" else domain}
            with st.spinner("Reading and checking every file"):
                done = state.attempt(_import, path, name, chosen)
            if done is not None:
                shutil.rmtree(folder, ignore_errors=True)
                st.session_state["upload-round"] = round_ + 1
                st.session_state.pop("upload-folder", None)
                state.open_dataset(done.name)
                st.session_state["just-imported"] = True
                st.toast(f"{text.label(done.name)}: {len(done):,} cases are in.")
                st.switch_page(page("data"))


def _safe(name: str) -> str:
    """A file name of our own making that keeps only the kind: the user's never becomes a path."""
    suffixes = "".join(s for s in Path(name).suffixes[-2:] if s.isascii() and len(s) <= 8)
    stem = "".join(c if c.isalnum() or c in "-_ " else "_" for c in Path(name).name.removesuffix(suffixes))[:80]
    return (stem or "file") + suffixes


def _copied(files: list[Any]) -> Path:
    """The uploads as files in a temporary folder, written once."""
    key = tuple((f.name, f.size, f.file_id) for f in files)
    if st.session_state.get("upload-folder", (None, None))[0] != key:
        old = st.session_state.get("upload-folder", (None, None))[1]
        if old:
            shutil.rmtree(old, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(prefix="lightbox-"))
        for f in files:
            f.seek(0)
            with open(folder / _safe(f.name), "wb") as out:
                shutil.copyfileobj(f, out, 1 << 20)
        st.session_state["upload-folder"] = (key, str(folder))
    return Path(st.session_state["upload-folder"][1])


def _preview(path: Path) -> dict[str, Any]:
    from core.data.readers import preview

    return preview(path)


def _import(path: Path, name: str, chosen: dict[str, Any]) -> Dataset:
    from core.data.readers import read

    return state.workspace().add(read(path, name=name, **chosen))

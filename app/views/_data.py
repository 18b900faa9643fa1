"""The data page: upload with a preview, samples, and the open dataset with its check."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from app import state, text
from app.palette import OKABE_ITO
from app.shell import page
from app.views import _quick
from app.views._gallery import thumbs
from core import limits, pictures
from core.data.checks import Finding, check
from core.data.dataset import Dataset
from core.data.samples import SAMPLES, make

ICONS = {"ok": ":material/check:", "look": ":orange[:material/visibility:]", "stop": ":red[:material/front_hand:]"}


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


def samples() -> None:
    """The built-in samples, each with a picture and one press."""
    there = {e["name"] for e in state.workspace().catalogue.datasets()}
    for cell, name in zip(st.columns(4), SAMPLES):
        data = _sample(name)
        with cell, st.container(border=True):
            st.markdown(f"**{text.label(name)}**")
            if pictures.drawable(data):
                st.image(pictures.wall(pictures.thumbs(data, data.rows[np.linspace(0, len(data) - 1, 16).astype(int)], 48), 4), width="stretch")
            elif data.modality == "table":
                st.image(pictures.enlarge(pictures.table_picture(data, 30), 300), width="stretch")
            st.caption(text.label(data.card["about"], 300))
            st.caption(f"{len(data):,} cases · {text.label(data.card['licence'])}" + (" · made up" if data.card.get("synthetic") else " · real"))
            if name in there:
                st.button("Open", key=f"open-{name}", on_click=_open, args=(name,), width="stretch")
            elif st.button("Add", key=f"add-{name}", width="stretch", type="primary"):
                state.attempt(state.workspace().add, make(name), True)
                state.open_dataset(name)
                st.session_state["just-imported"] = True
                st.switch_page(page("data"))


def _open(name: str) -> None:
    state.open_dataset(name)
    st.session_state["just-imported"] = True


@st.cache_resource(show_spinner=False)
def _sample(name: str) -> Dataset:
    return make(name)


@st.cache_data(max_entries=8, show_spinner="Looking the data over")
def _checked(home: str, hash: str, name: str) -> list[dict[str, Any]]:
    return [vars(f) for f in check(state.workspace().dataset(name))]


def overview(data: Dataset) -> None:
    """Pictures or lines, the card, the balance, the check, and removing it."""
    left, right = st.columns([3, 2], gap="large")
    with left:
        _look(data)
    with right:
        if state.context() is None:
            st.markdown("**What do you want to know?**")
            _quick.ask(data)
        st.markdown("**Look it over before use**")
        for found in _checked(str(state.workspace().home), data.hash, data.name):
            _finding(Finding(**found))
        st.markdown("**What it is**")
        _card(data)
        _balance(data)
    with st.expander("Remove this data"):
        runs = len(state.workspace().runs(data.name))
        st.markdown(f"Removes **{text.label(data.name)}** and its {runs} run{'s' * (runs != 1)} from this workspace. Your own files stay where they are.")
        sure = st.checkbox("I am sure", key=f"sure-{data.hash[:8]}")
        if st.button("Remove", disabled=not sure, type="primary"):
            state.attempt(state.workspace().remove_dataset, data.name)
            st.rerun()


def _look(data: Dataset) -> None:
    if pictures.drawable(data):
        pages = -(-len(data) // 60)
        at = st.pagination(pages, key=f"look-{data.hash[:8]}") - 1 if pages > 1 else 0
        rows = data.rows[at::pages]  # spread over the whole set, so that each page shows every kind of case
        st.image(pictures.wall(thumbs(data, rows, 72), 10), width="stretch")
        if pages > 1:
            st.caption(f"{len(rows)} of {len(data):,} cases, spread evenly over the whole set.")
    st.dataframe(data.shown.head(500), height=240 if pictures.drawable(data) else 460)
    if len(data) > 500:
        st.caption(f"The first 500 of {len(data):,} lines.")


def _card(data: Dataset) -> None:
    card = data.card
    st.markdown(text.label(card.get("about") or "No description.", 400))
    facts = {"source": card.get("source"), "licence": card.get("licence"), "kind": data.modality, "cases": f"{len(data):,}",
             "size of one": " x ".join(map(str, data.shape)), "split": card.get("split rule"), "made up": "yes" if card.get("synthetic") else None,
             "missing values": ", ".join(f"{k}: {v}" for k, v in list(card.get("missing values", {}).items())[:6]) or "none"}  # fmt: skip
    st.caption("  \n".join(f"{k}: {text.label(v, 120)}" for k, v in facts.items() if v))
    for rule in card.get("rules", []):
        st.caption(f":material/rule: {text.label(rule, 240)}")
    if card.get("cohort"):
        st.caption("Cohort: " + " → ".join(f"{text.label(k)} {v:,}" for k, v in card["cohort"].items()))


def _balance(data: Dataset) -> None:
    if not data.classes or len(data.classes) > 40:
        return
    figure = go.Figure()
    for i, split in enumerate(s for s in ("train", "val", "test") if (data.splits == s).any()):
        labels = data.part(split).labels
        figure.add_bar(x=[text.chart(c, 16) for c in data.classes], y=np.bincount(labels[labels >= 0], minlength=len(data.classes)), name=split,
                       marker={"color": OKABE_ITO[i], "pattern": {"shape": ("", "/", ".")[i]}})  # fmt: skip
    figure.update_layout(barmode="stack", height=220, margin={"l": 10, "r": 10, "t": 10, "b": 10}, yaxis_title="cases", legend={"orientation": "h", "y": 1.15})
    st.plotly_chart(figure, key=f"balance-{data.hash[:8]}", config={"displayModeBar": False})


def _finding(found: Finding) -> None:
    left, right = st.columns([4, 1], vertical_alignment="center")
    left.markdown(f"{ICONS[found.severity]} **{text.label(found.title)}** {text.label(found.words, 400)}")
    if found.rows:
        right.button("Select", key=f"finding-{found.kind}", on_click=state.select, args=(np.array(found.rows), found.title), width="stretch")

"""Bringing data: files dropped, or a folder of this machine; a preview, choosing what is what; then
an import that goes on when the browser is closed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import streamlit as st

from app import progress, state, text
from app.components import allowed
from app.navigation import page
from app.panels import column_roles, import_preview, limits_note
from app.panels import folders as _folders
from core import limits
from core.data.readers.files import cut_suffix
from core.jobs import queue, reconciling
from core.jobs.import_preview import list_entries
from core.workspace import notes, uploads
from core.workspace.catalogue import Job
from core.workspace.import_request import REQUEST

KINDS = (
    "Zip (sub-folder = class, a folder “masks” = truth), PNG, JPEG, TIFF, BMP, DICOM, NIfTI, npz,"
    " npy, FASTA, EDF, BDF, WFDB, CSV, Excel (.xlsx), Parquet"
)
STACKS = {
    "auto": "auto-detect",
    "slices": "a case for each slice",
    "volumes": "a case for each scan",
}
READ_AS = {
    "picture": "picture",
    "dicom": "DICOM",
    "nifti": "NIfTI",
    "edf": "EDF",
    "fasta": "FASTA",
    "parquet": "Parquet",
}
FROM = {"files": "Files or a zip", "folder": "A whole folder", "here": "On this machine"}


def upload() -> None:
    """Imports at work; then drop or choose, look at the first lines, say what is what, import."""
    for job in _open():
        _importing(job)
    if allowed.refuse("data"):
        return
    waiting: uploads.Upload | None = st.session_state.get("upload")
    if waiting is not None and not waiting.path.exists():  # imported, or taken away meanwhile
        waiting = st.session_state["upload"] = None
    if waiting is not None:
        _ask(waiting.path, waiting, *_called(waiting))
        return
    _left_waiting()
    state.kept("upload-from", "files", list(FROM))
    where = st.segmented_control(
        "Where is it?",
        list(FROM),
        format_func=FROM.__getitem__,
        key="w-upload-from",
        on_change=state.keep,
        args=("upload-from",),
        required=True,
    )
    if where == "here":
        chosen = _folders.choose()
        if chosen is not None:
            _ask(chosen, None, chosen.name, chosen.name)
        return
    _drop(where == "folder")


def _left_waiting() -> None:
    """Files that were copied but not imported, before the page was loaded again or closed: go on
    with them, or take them away.
    """
    uploads.remove_old_uploads(state.workspace())
    for found, came in uploads.waiting_uploads(state.workspace())[:3]:
        words, more, away = st.columns([4, 1.4, 1], vertical_alignment="center")
        _, source = _called(found)
        words.markdown(
            f":material/draft: **{text.label(source)}** · {text.size(found.bytes)}, copied"
            f" {text.ago(came)}, not imported yet."
        )
        more.button(
            "Continue with it",
            key=f"continue-{found.folder.name}",
            type="primary",
            width="stretch",
            on_click=_continue,
            args=(found,),
        )
        away.button(
            "Remove",
            key=f"away-{found.folder.name}",
            width="stretch",
            on_click=_forget,
            args=(found,),
            help="Takes the copy away; your own files stay.",
        )


def _continue(found: uploads.Upload) -> None:
    st.session_state["upload"] = found


def _drop(folder: bool) -> None:
    round_ = st.session_state.setdefault("upload-round", 0)
    files = st.file_uploader(
        "Drop a folder here" if folder else "Drop files here",
        accept_multiple_files="directory" if folder else True,
        key=f"upload-{folder}-{round_}",
        help=(
            f"{KINDS}; up to {limits.UPLOAD_BYTES >> 20} MB a file. Names, dates and other"
            " identifying tags of DICOM files are left out."
        ),
    )
    if not files:
        st.caption(
            "A zip of pictures with one folder per class is the simplest. Nothing is sent anywhere."
        )
        limits_note.show()
        return
    with st.spinner("Copying into the workspace"):
        kept = state.attempt(uploads.store_upload, state.workspace(), [(f.name, f) for f in files])
    if kept is None:
        return
    st.session_state["upload"] = kept
    # another widget: the server lets go of the files in its memory
    st.session_state["upload-round"] = round_ + 1
    st.rerun()


def _called(waiting: uploads.Upload) -> tuple[str, str]:
    """What to call the upload: a proposed name of the dataset, and its source in words."""
    if len(waiting.names) == 1:
        name = PurePosixPath(waiting.names[0]).name
        return cut_suffix(name), name
    tops = {PurePosixPath(n).parts[0] for n in waiting.names if len(PurePosixPath(n).parts) > 1}
    return (tops.pop() if len(tops) == 1 else "my data"), f"{len(waiting.names):,} files"


def _ask(path: Path, waiting: uploads.Upload | None, proposed: str, source: str) -> None:
    """The preview and the form; the import starts with a press."""
    if waiting is not None:
        left, right = st.columns([4, 1], vertical_alignment="center")
        left.markdown(
            f":material/draft: **{text.label(source)}** · {text.size(waiting.bytes)} are in the"
            " workspace, not imported yet."
        )
        if right.button("Choose others", width="stretch", help="Take these files away again"):
            _forget(waiting)
            st.rerun()
    version = waiting.hash if waiting else str(path.stat().st_mtime_ns)
    seen = state.attempt(import_preview.look, str(path), version, "auto", source)
    if seen is None:
        return
    take = "auto"
    if several := seen.get("kinds"):
        st.info("Files of several kinds lie here together; one kind comes in at a time.")
        take = st.radio(
            "Which to take",
            sorted(several, key=lambda k: k != seen.get("usual")),
            format_func=lambda k: text.counted(several[k], f"{READ_AS.get(k, k)} file"),
            horizontal=True,
        )
        seen = state.attempt(import_preview.look, str(path), version, take, source)
        if seen is None:
            return
    if "slow" in seen:
        st.caption(
            f":material/hourglass: {text.label(seen['slow'], 240)} It can be imported without it."
        )
    # a scan's file or folder is often called after the patient
    if seen.get("kind") in ("dicom", "nifti"):
        proposed = "scans"
    proposed = state.workspace().unused(text.plain(proposed, 60))
    columns = seen.get("columns", [])
    if seen.get("kind") in READ_AS and seen.get("files"):
        beside = text.counted(seen.get("outlines", 0), "file") + " of contours, which become masks"
        found = text.counted(seen["files"], READ_AS[seen["kind"]] + " file")
        st.caption(f"Found: {found}{', ' + beside if seen.get('outlines') else ''}.")
    import_preview.pictures(seen)
    if "head" in seen:
        types = seen.get("types", {})
        whole = (
            ""
            if seen.get("whole", True)
            else (
                f" ({seen['looked']:,} rows were looked at; the import decides on all and says"
                " where it differs)"
            )
        )
        st.caption(f"The first lines, and what each column holds{whole}:")
        st.dataframe(
            seen["head"],
            hide_index=True,
            column_config={
                c: st.column_config.Column(f"{text.plain(c, 40)} · {text.plain(types[c], 30)}")
                for c in columns
                if c in types
            },
        )
    for rule in seen.get("rules", []):
        st.caption(f":material/rule: {text.label(rule, 240)}")
    with st.container(border=True):
        _form(path, waiting, seen, proposed, source, take, version)


def _form(
    path: Path,
    waiting: uploads.Upload | None,
    seen: dict[str, Any],
    proposed: str,
    source: str,
    take: str,
    version: str,
) -> None:
    """What to call it, what each column is, which class is normal, and the press that starts the
    import.
    """
    columns, guesses = seen.get("columns", []), seen.get("guesses", [])
    token = state.press("import")
    name = st.text_input("Call it", proposed, max_chars=80)
    options: dict[str, Any] = {
        "source": text.plain(source, 80),
        "series": "auto",
        "stack": "auto",
        "take": take,
    }
    if seen.get("series"):
        options["series"] = st.radio(
            "Taken as",
            ["auto", "no"],
            format_func={
                "auto": "a recording over time, drawn as traces",
                "no": "a table, each line a case",
            }.get,
            horizontal=True,
        )
    wrong, people = None, seen.get("columns of people", [])
    if guesses and "head" in seen and not (seen.get("series") and options["series"] == "auto"):
        options["roles"], roles, fates = column_roles.choose(
            guesses, seen["head"], f"roles-{version}-{take}", people
        )
        options["looked"] = {g["column"]: g["role"] for g in guesses}
        wrong = column_roles.clash(roles) or column_roles.clash_of_fates(roles, fates)
        if odd := column_roles.odd_patients(roles, seen.get("classes", {})):
            st.warning(text.label(odd, 240))
        label = next((c for c, role in roles.items() if role == "outcome"), "none")
        if label == "none":  # nobody wants another one guessed instead
            options["label"] = "none"
    else:
        if found := [
            f"“{text.label(g['column'], 40)}” is the {g['role']} ({g['words']})"
            for g in guesses
            if g["role"] != "left out"
        ]:
            where = "In the file" if seen.get("kind") == "npz" else "In the table beside"
            st.caption(f"{where}: {', '.join(found[:8])}; change it below.")
        label, more = _asked(columns, {g["role"]: g["column"] for g in guesses}, seen)
        options |= more
        fates = column_roles.choose_fates(people, f"fates-{version}-{take}")
    outcome = next((g["column"] for g in guesses if g["role"] == "outcome"), "folder")
    chosen = {"auto-detect": "folder" if "folder" in seen.get("classes", {}) else outcome}.get(
        label, label
    )
    if chosen == "folder" and (folders := seen.get("classes", {}).get("folder")):
        sizes = {c: f" ({n:,})" for c, n in seen.get("sizes", {}).items()}
        some = ", ".join(text.label(c, 30) + sizes.get(c, "") for c in folders[:12])
        st.caption(f"The folders are the classes: {some}{' …' if len(folders) > 12 else ''}.")
    options["normal"] = column_roles.normal_class(
        seen.get("classes", {}).get(chosen, []), chosen, f"normal-{version}-{take}-{chosen}"
    )
    if seen.get("kind") == "dicom":
        options["stack"] = st.radio(
            "Series of slices become",
            list(STACKS),
            format_func=STACKS.get,
            horizontal=True,
            help=(
                "Volumes need series of even spacing. Single slices can be trained on with few"
                " scans."
            ),
        )
    for fate in ("remove", "replace"):
        options[fate] = [c for c, f in fates.items() if f == fate]
    entries = list_entries(seen, fates)
    options["accepted"] = import_preview.accept(entries, seen, f"{version}-{take}")
    if wrong:
        st.warning(text.label(wrong, 240))
    if st.button(
        import_preview.ACCEPT,
        type="primary",
        key=f"import-{token}",
        disabled=wrong is not None or options["accepted"] is None,
        help=None if options["accepted"] else "Tick the box above first.",
    ):
        job = state.attempt(
            queue.import_data,
            state.workspace(),
            path,
            name,
            options,
            waiting.folder if waiting else None,
            token,
        )
        if job is not None:
            notes.save_author(state.workspace(), options["accepted"]["by"])
            state.pressed("import")
            import_preview.forget()
            st.session_state["upload"] = None
            st.session_state["importing"] = job.id
            st.rerun()


def _asked(
    columns: list[str], guessed: dict[str, str], seen: dict[str, Any]
) -> tuple[str, dict[str, Any]]:
    """Label, patient and site of what is no table: the label as chosen, and the options of the
    import. `guessed`: role -> column, shown as what auto-detect would take.
    """
    by_folder = "folder" if "folder" in seen.get("classes", {}) else ""

    def shown(found: str | None) -> Callable[[str], str]:
        guess = f": {text.plain(found, 40)} (a guess)" if found else ""
        return lambda one: f"auto-detect{guess}" if one == "auto-detect" else text.plain(one)

    a, b, c = st.columns(3)
    label = a.selectbox(
        "Label",
        ["auto-detect", "none", *columns] if columns else ["auto-detect", "folder", "none"],
        format_func=shown(by_folder or guessed.get("outcome")),
        help=(
            "What is known about each case, e.g. the diagnosis. “folder”: the sub-folder is the"
            " class."
        ),
    )
    group = b.selectbox(
        "Patient",
        ["auto-detect", *columns],
        format_func=shown(guessed.get("patient")),
        help="All cases of one patient stay in the same part of the split.",
    )
    domain = c.selectbox(
        "Site or scanner", ["auto-detect", *columns], format_func=shown(guessed.get("site"))
    )
    options = {"label": {"auto-detect": "auto"}.get(label, label)}
    return label, options | {
        k: v for k, v in (("group", group), ("domain", domain)) if v != "auto-detect"
    }


def _forget(waiting: uploads.Upload) -> None:
    import_preview.forget()
    state.attempt(uploads.remove_upload, state.workspace(), waiting)
    st.session_state["upload"] = None


def follow() -> None:
    """Open the dataset once the import that was started in this session is done."""
    ws, id = state.workspace(), st.session_state.get("importing")
    job = ws.catalogue.job(id) if id else None
    if job is not None and job.status == "done":
        st.session_state["importing"] = None
        name = ws.entry(job.dataset)["name"]
        state.open_dataset(name)
        st.session_state["just-imported"] = True
        st.toast(f"{text.label(name)} is in.")
        st.switch_page(page("data"))


def _open() -> list[Job]:
    """Imports that are at work, were interrupted or have failed."""
    ws = state.workspace()
    reconciling.reconcile(ws)
    return ws.catalogue.jobs(kind="import", status=["queued", "running", "interrupted", "failed"])


def _importing(job: Job) -> None:
    """One import: its progress with cancel, what became of it, and what can be done then."""
    ws = state.workspace()
    with st.container(border=True):
        st.markdown(f":material/move_to_inbox: Import of **{text.label(job.label)}**")
        progress.live(job.id, key="import")
        if not job.ended:
            st.caption("It goes on when this page or the browser is closed.")
            return
        cells = iter(st.columns([1, 1, 2]))
        resumable = (ws.folder(job.id) / REQUEST).exists() and not queue.why_would_fail_again(
            ws, job
        )
        if resumable:
            next(cells).button(
                "Go on",
                key=f"resume-{job.id}",
                type="primary",
                width="stretch",
                **allowed.lock("data", help="What was stored already is not read again."),
                on_click=_go_on,
                args=(job.id,),
            )
        next(cells).button(
            "Dismiss",
            key=f"dismiss-{job.id}",
            width="stretch",
            on_click=state.attempt,
            args=(queue.discard_import, ws, job.id),
            **allowed.lock("data"),
        )


def _go_on(id: str) -> None:
    st.session_state["importing"] = id
    state.attempt(queue.resume, state.workspace(), id)

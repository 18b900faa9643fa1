"""The frame every page shares: the bar with what is open, the empty state, the header sentence."""

from __future__ import annotations

import os

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app import navigation, state, text
from app.access import projects
from app.components import allowed, theme
from core.data.dataset import Dataset
from core.io.room import look_at_room
from core.jobs import cluster
from core.settings import loopback, read_settings
from core.workspace import review
from core.workspace.catalogue import Job


def show_news() -> None:
    """What has happened to the workspace that nobody was told yet, until it is put away."""
    told: list[str] = st.session_state.setdefault("news", [])
    told += state.workspace().startup_messages()
    for said in told:
        st.warning(text.label(said, 600), icon=":material/build:")
    if said := look_at_room(state.workspace().home).sentence:
        st.warning(text.label(said, 300), icon=":material/hard_drive:")
    if said := cluster.last_word(state.workspace().home):
        st.error(text.label(said, 600), icon=":material/lan_disconnect:")
    if told:
        st.button("I have read it", on_click=told.clear)


def show_move() -> None:
    """What moved this page from outside last, and the way back; an empty place where nothing did,
    since what comes and goes would move all below it.
    """
    with st.container(key="moved", horizontal=True, vertical_alignment="center"):
        if state.moves():
            words, _ = state.moves()[-1]
            st.markdown(
                f":material/swipe: Moved from outside: {text.label(words, 300)}", width="content"
            )
            st.button("Undo this move", key="move-undo", on_click=state.undo_move)
            st.button("Hide", key="move-hide", on_click=state.hide_move, type="tertiary")


def damaged(said: str) -> None:
    """The sentence about data that cannot be opened, and the way to take it away; drawn in place of
    what would show it.
    """
    from app.panels import data_page

    st.error(text.label(said, 600))
    name = state.dataset_name()
    assert name is not None
    data_page.removal(name)


def closed(said: str) -> None:
    """In place of every page: why it is not open, and the projects that are."""
    st.error(text.label(said, 300))
    for id, (project, _) in projects.own_projects().items():
        st.button(
            text.label(project.title, 80),
            key=f"project-{id}",
            on_click=projects.open_project,
            args=(id,),
        )


def _person() -> None:
    """The project, and who is at hand in it as what, with the ways to another project and out."""
    mine, access = projects.own_projects(), projects.access()
    here = text.label(mine[access.project][0].title, 80)
    with st.popover(here, icon=":material/group:", width="stretch"):
        st.text(f"{access.person}, {access.role}")
        for id, (project, role) in mine.items():
            if id != access.project:
                st.button(
                    f"Go to {text.label(project.title, 80)}",
                    key=f"project-{id}",
                    help=f"You are {role} there.",
                    on_click=projects.open_project,
                    args=(id,),
                    width="stretch",
                )
        if read_settings().login == "oidc":
            st.markdown("[Sign out](/auth/logout)")
    st.caption(f"You are {access.role} here.")


def sidebar() -> None:
    """Below the pages, on every page: what the network is, and what this is for."""
    with st.sidebar:
        if projects.shared():
            _person()
        st.caption(
            f"{describe_network(st.get_option('server.address'))}  \n"
            "Research use, not for diagnosis."
        )


def top_bar(whole: bool = True) -> None:
    """Dataset, run, colour, window and selection with its actions, the theme, and what is being
    computed; the same on every page. Not `whole`: the open dataset is damaged, and only another can
    be chosen.
    """
    ws = state.workspace()
    names = [e["name"] for e in ws.catalogue.datasets()]
    # Trap: a bar that comes with the first data would move everything below it, and a browser then
    # takes the tabs of the page for others; so it is always there.
    with st.container(key="top-bar"):
        with st.container(key="theme", width="content"):
            theme.switch(navigation.url_paths())
        if not names:
            return
        runs = (
            {j.id: j for j in ws.runs(state.dataset_name()) if j.status == "done"} if whole else {}
        )
        data = state.dataset() if whole else None
        cells = iter(_cells(bool(runs), data))
        with next(cells):
            state.set_value("open-dataset", state.dataset_name())
            state.kept("open-dataset", names[0], names)
            st.selectbox(
                "Data",
                names,
                key="w-open-dataset",
                format_func=text.plain,
                on_change=_chosen,
                args=("open-dataset",),
            )
        if not whole:
            return
        if runs:
            with next(cells):
                _run(runs)
            with next(cells):
                _colour()
        if data is not None:
            from app.panels import viewer

            if viewer.fits(data):
                with next(cells):
                    viewer.window_choice(data)
            with next(cells):
                _selection()
            next(cells).button(
                "Undo",
                key="selection-undo",
                on_click=state.undo,
                disabled=not state.can_undo(),
                width="stretch",
                help="Bring back the selection before this one.",
            )
        _jobs()


def _cells(trained: bool, data: Dataset | None) -> list[DeltaGenerator]:
    """The places of the bar, as wide as what stands in them needs, whichever of them there are."""
    from app.panels import viewer

    wide, all_of_them = [2.0], 12.5
    if trained:
        wide += [3.4, 1.8]
    if data is not None:
        wide += [2.1, 2.3, 0.9] if viewer.fits(data) else [2.3, 0.9]
    rest = all_of_them - sum(wide)
    return st.columns([*wide, rest] if rest > 0.1 else wide, vertical_alignment="bottom")


def _run(runs: dict[str, Job]) -> None:
    job = state.run()
    state.set_value("open-run", job.id if job else next(iter(runs)))
    state.kept("open-run", next(iter(runs)), list(runs))
    st.selectbox(
        "Run",
        list(runs),
        key="w-open-run",
        format_func=lambda id: text.plain(navigation.run_title(runs[id], id_first=True)),
        on_change=_chosen,
        args=("open-run",),
    )


def _jobs() -> None:
    """What is being computed now, how far it is and how long it will take; a press opens Runs."""

    def unfinished() -> list[Job]:
        open_ = state.workspace().catalogue
        return open_.jobs(kind=["train", "apply"], status=["queued", "running"])

    @st.fragment(run_every=3.0 if unfinished() else None)
    def show() -> None:
        for job in unfinished()[:2]:
            left = text.duration(job.eta) if job.status == "running" else "waiting"
            told = job.phase not in ("", "learning")
            doing = f"{text.label(job.phase, 40)}, " if told else ""
            st.page_link(
                navigation.page("runs"),
                label=(
                    f"{text.label(navigation.run_title(job), 60)}: {doing}"
                    f"{100 * (job.progress or 0.0):.0f} %{f', {left}' if left else ''}"
                ),
                icon=":material/hourglass_top:",
            )

    show()


def describe_network(address: str | None) -> str:
    """What is said of the network, by the address the server listens on (None = all of
    this machine's, as when it was started past `lightbox app`).
    """
    if projects.shared():
        return ":material/lock: Nothing leaves this server; only people of the project see it."
    if not loopback(address or "0.0.0.0"):
        return ":material/lock_open: Other machines can open this page, and there is no login."
    if os.environ.get("LIGHTBOX_NO_TOKEN") == "1":
        return (
            ":material/lock_open: Nothing leaves this machine. Every user and program of it can"
            " open this page (started with --no-token)."
        )
    return ":material/lock: Nothing leaves this machine."


def _chosen(key: str) -> None:
    state.keep(key)
    chosen = state.value(key)
    state.open_dataset(chosen) if key == "open-dataset" else state.open_run(chosen)


def _colour() -> None:
    context = state.context()
    if context is None:
        return
    options = list(context.columns)
    if options:
        state.kept("colour", options[0], options)
        st.selectbox(
            "Colour by",
            options,
            key="w-colour",
            format_func=text.plain,
            on_change=state.keep,
            args=("colour",),
            help="What the colours stand for on every page.",
        )


def _selection() -> None:
    from core.workspace import notes

    chosen, data = state.selection(), state.dataset()
    assert data is not None
    saved = notes.load_groups(state.workspace(), data.name)
    words = f"Selection: {len(chosen):,} of {len(data):,}"
    with st.popover(words, width="stretch", icon=":material/select_all:"):
        if chosen.source:
            st.markdown(text.label(chosen.source))
        st.button("Clear", on_click=state.clear, disabled=not len(chosen), width="stretch")
        if saved:
            st.caption("Groups")
        for name, rows in saved.items():
            row = st.columns([4, 1], vertical_alignment="center")
            row[0].button(
                f"{text.label(name, 30)} ({len(rows):,})",
                key=f"group-{name}",
                on_click=state.select,
                args=(rows, f"group {name}"),
                width="stretch",
            )
            row[1].button(
                "",
                icon=":material/delete:",
                key=f"drop-{name}",
                on_click=state.attempt,
                args=(notes.remove_group, state.workspace(), data.name, name),
                **allowed.lock("annotate", help="Remove this group"),
            )
        with st.form("save-group", border=False, clear_on_submit=True):
            name = st.text_input(
                "Save the selection as",
                placeholder="a name",
                max_chars=60,
                **allowed.lock("annotate", not len(chosen)),
            )
            if st.form_submit_button(
                "Save", width="stretch", **allowed.lock("annotate", not len(chosen))
            ):
                state.attempt(notes.save_group, state.workspace(), data.name, name, chosen.rows)
                st.rerun()


def need_run(what: str) -> state.Context:
    """The open run, or a friendly empty page with one button; `what` completes "Here you will see
    ...".
    """
    context = state.context()
    if context is None:
        _stop_at_unfinished()
        data = state.dataset()
        st.markdown(
            f"Here you will see {what}. First "
            + ("train a method on your data." if data else "bring some data.")
        )
        st.page_link(
            navigation.page("train" if data else "data"),
            label="Train a method" if data else "Add data",
            icon=":material/arrow_forward:",
        )
        st.stop()
    if not len(context.data):
        stop_without_cases()
    many = review.count_removed_since(context.ws, context.job.id)
    if many:
        st.markdown(f":orange[:material/visibility: {review.describe_removed_since(many)}]")
    return context


def _stop_at_unfinished() -> None:
    """Where the open run, as of a link, has not ended well: how far it is, or why it ended; ends
    the page.
    """
    from app import progress

    job = state.run()
    if job is None or job.status == "done":
        return
    st.markdown(
        f"**{text.label(navigation.run_title(job))}** "
        + ("gave nothing to show." if job.ended else "has nothing to show yet.")
    )
    progress.live(job.id, curve=True, key="open-run-live")
    st.page_link(navigation.page("runs"), label="All runs", icon=":material/list_alt:")
    st.stop()


def stop_without_cases() -> None:
    """The sentence and the way on where every case is excluded or held back; ends the page."""
    st.markdown(
        "Every case of this data is excluded or hidden pending review, so there is nothing to show."
        " The Data page says why, and brings cases back."
    )
    st.page_link(navigation.page("data"), label="Check the data", icon=":material/arrow_forward:")
    st.stop()


def head(title: str, sentence: str) -> None:
    """The page's title and the one plain sentence: what this is and how far to trust it. `sentence`
    is our own text, names in it escaped.
    """
    st.subheader(title, anchor=False)
    st.markdown(text.explain(sentence))


def show_provenance(context: state.Context, extra: str = "") -> None:
    """The line under a picture: what made it, so that it can be traced."""
    job = context.job
    parts = [
        text.label(context.data.name),
        f"run {job.id}",
        text.label(job.method),
        f"seed {job.seed}",
        f"n = {len(context.data):,}",
        extra,
    ]
    st.caption(" · ".join(p for p in parts if p))


def details(context: state.Context) -> None:
    """Method, parameters, seed, versions: closed by default."""
    with st.expander("Details: how this was made"):
        slugs = context.ws.slugs(context.job.id)
        made = context.ws.artifact(context.job.id, slugs[0]).made_by if slugs else None
        st.json(
            {
                "run": context.job.id,
                "method": context.job.method,
                "parameters": context.job.params,
                "seed": context.job.seed,
                "data": context.data.name,
                "data hash": context.data.hash[:16],
                **(
                    {
                        "device": made.device,
                        "version": made.version,
                        "made": made.created,
                        "seconds": made.seconds,
                        "packages": made.packages,
                        "notes": made.notes,
                    }
                    if made
                    else {}
                ),
            },
            expanded=2,
        )

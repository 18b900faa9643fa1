"""The frame around every page: runs at each rerun, before the page itself."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from app import memory, navigation, shell, state
from app.access import projects
from app.components import glossary, style, viewer
from app.outside import orders
from core.errors import Damaged
from core.jobs import queue

memory.set_modules_aside()
# a material symbol would be fetched from the network
ICON = Path(__file__).parent.parent / "assets" / "icon.png"

SECTIONS = {
    "": [
        ("home", "Home", "home"),
        ("data", "Data", "folder_open"),
        ("train", "Train", "model_training"),
        ("runs", "Runs", "list_alt"),
    ],
    "Explore": [
        ("results", "Results", "insights"),
        ("latent", "Latent map", "scatter_plot"),
        ("clusters", "Clusters", "workspaces"),
        ("anomalies", "Anomalies", "troubleshoot"),
        ("reading", "Reading room", "radiology"),
        ("rationales", "Rationales", "psychology_alt"),
        ("traversal", "Traversal", "tune"),
        ("compare", "Compare", "compare_arrows"),
    ],
    "Show": [("present", "Present", "slideshow"), ("library", "Library", "menu_book")],
    "Project": [("people", "People", "group")],
}
closed = projects.enter()  # before anything is sent: whose page this is
manages = projects.may_manage()
pages = {
    section: [
        st.Page(
            navigation.page(name),
            title=title,
            icon=f":material/{icon}:",
            url_path=name,
            default=name == "home",
            # reached by its address it says why it is not open
            visibility="visible" if name != "people" or manages else "hidden",
        )
        for name, title, icon in entries
    ]
    for section, entries in SECTIONS.items()
}
chosen = st.navigation(pages, expanded=True)
# Trap: Streamlit has its menu, in which the themes are, only where something else is in it too
st.set_page_config(
    f"{chosen.title} · Lightbox",
    page_icon=str(ICON),
    layout="wide",
    menu_items={"About": "Lightbox. Research use, not for diagnosis."},
)
style.apply()
glossary.listen()
if closed:
    shell.closed(closed)
    st.stop()
state.adopt_url()
orders.obey(chosen.url_path or "home")
if (asked := state.asked_page()) not in ("", chosen.url_path or "home"):
    st.switch_page(next(p for of in pages.values() for p in of if (p.url_path or "home") == asked))
damage = state.damage()
try:
    shell.sidebar()
    shell.top_bar(whole=not damage)
    state.mirror_url()
    shown = None if damage else state.dataset()
    viewer.share(state.look(), shown.hash if shown is not None else "")
    orders.note(chosen.url_path or "home")
    shell.show_move()
    shell.show_news()
    if damage:
        shell.damaged(damage)
    else:
        queue.prepare_worker(state.workspace())
    if not damage or chosen.url_path in ("data", "runs", "library"):
        chosen.run()
except Damaged as e:  # found only when it was read
    shell.damaged(str(e))

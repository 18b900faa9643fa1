"""Runs: what is at work, what was found, compare, cancel, resume, delete."""

import streamlit as st

from app import shell, state
from app.views import _runs
from core.jobs import queue

queue.reconcile(state.workspace())
shell.head("Runs", "Every training you started, on all your data. Runs go on when the browser is closed.")
chosen = _runs.listing()
if not chosen:
    st.stop()
if len(chosen) > 1:
    _runs.beside(chosen)
else:
    _runs.one(chosen[0])

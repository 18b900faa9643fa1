"""Runs: what is at work, what was found, compare, cancel, resume, delete."""

import streamlit as st

from app import shell, state
from app.panels import run_list
from core.jobs import reconciling

reconciling.reconcile(state.workspace())
shell.head(
    "Runs", "Every training you started, on all your data. Runs go on when the browser is closed."
)
chosen = run_list.listing()
if not chosen:
    st.stop()
if len(chosen) > 1:
    run_list.compare_runs(chosen)
else:
    run_list.one(chosen[0])

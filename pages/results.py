"""Results: everything the open run gave, view by view."""

import streamlit as st

from app import shell
from app.panels import apply, results
from app.panels.inspector import inspector

context = shell.need_run("what a run found, and its figures")
shell.head(
    "Results",
    "Everything this run gave. Click a case, a line or a bar to see the cases behind it; what you"
    " select here is selected on every page.",
)
main, side = st.columns([5, 2])
with main:
    apply.panel(context)
    results.show(context)
    shell.show_provenance(context)
with side:
    inspector(context)
shell.details(context)

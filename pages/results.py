"""Results: everything the open run gave, view by view."""

import streamlit as st

from app import shell
from app.views import _apply, _results
from app.views._gallery import inspector

context = shell.need_run("what a run found, and its figures")
shell.head("Results", "Everything this run gave. Click a case, a line or a bar to see the cases behind it; what you select here is selected on every page.")
main, side = st.columns([5, 2])
with main:
    _apply.panel(context)
    _results.show(context)
    shell.made_by_line(context)
with side:
    inspector(context)
shell.details(context)

"""Anomalies: the most unusual cases, where they are unusual, and what a threshold would mean."""

import streamlit as st

from app import shell
from app.views import anomaly
from app.views._gallery import inspector, score_of

context = shell.need_run("which cases look unlike the others, and where")
scores = score_of(context)
if scores is None:
    shell.head("Anomalies", "Which cases look unlike the ones the model learned from, and where.")
    st.info("This run gives no unusualness score. Choose or train one that does, such as a variational autoencoder or StRegA.")
    st.page_link(shell.page("train"), label="Train one", icon=":material/arrow_forward:")
    st.stop()
over = int((scores.score > anomaly.threshold_of(scores, context)).sum())
shell.head("Anomalies", f"{over:,} of {len(scores.rows):,} cases look unlike the ones the model learned from. Unusual does not mean ill: check each picture yourself.")
main, side = st.columns([4, 1])
with main:
    anomaly.show(scores, context)
    shell.made_by_line(context, f"threshold {anomaly.threshold_of(scores, context):.3g}")
with side:
    inspector(context)
shell.details(context)

"""The reading room: read cases one by one, then see what the model says."""

from app import shell
from app.panels import reading

context = shell.need_run("cases one by one, large, with your own answer kept before the model’s")
shell.head(
    "Reading room",
    "Your answer first, then the model’s. Keys: ← → case, ↑ ↓ slice, 1 to 9 answer, A D U agree,"
    " disagree, unsure, H heat, W window, Z undo.",
)
reading.show(context)
shell.show_provenance(context)

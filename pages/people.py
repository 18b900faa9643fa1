"""People: who has which role in the project, for its owners."""

from app import shell
from app.panels import people

shell.head(
    "People",
    "Who may do what in this project. A change counts at once, and is on the audit list.",
)
people.manage()

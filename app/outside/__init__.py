"""The open screen moved from outside: by `lightbox screen`, and by `lightbox.screen` in Python.

`client` sends what is asked to the served app; `orders` takes it there to one browser session;
`moves` finds out what it means before anything is moved.
"""

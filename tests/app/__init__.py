"""Tests of pages and what they are made of."""

import re


def unexplained(words: str) -> str:
    """`words` of a page as they were before `app.text.explain` made links of terms."""
    return re.sub(r"\[([^\]]+)\]\(#term-[^)]+\)", r"\1", words)

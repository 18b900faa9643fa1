"""What the last long hunts found is known, and what none of this version has tried is told."""

import warnings

from core import __version__
from tests.soak import marked, stored


def test_the_last_long_hunts_ended_well():
    assert stored()
    assert [name for name, end in stored().items() if end["outcome"] != "passed"] == []


def test_what_is_stored_is_still_a_test():
    assert {name.split("[")[0] for name in stored()} <= marked()


def test_what_no_long_hunt_of_this_version_has_tried_is_told():
    """Run `make soak` before a release, and commit what it stores."""
    there = {name.split("[")[0] for name, end in stored().items() if end["version"] == __version__}
    if missing := sorted(marked() - there):
        warnings.warn(f"`make soak` has not tried in {__version__}: {missing}", stacklevel=1)

"""What stands for good is set aside from the collector; what a page leaves behind is not."""

import gc
import sys
import weakref

from app import memory


def test_modules_are_set_aside_once_and_garbage_is_still_collected(monkeypatch):
    class Part:
        whole = None

    try:
        monkeypatch.setattr(memory, "_set_aside", 0)
        memory.set_modules_aside()
        there = gc.get_freeze_count()
        assert there > 10_000
        gc.unfreeze()
        memory.set_modules_aside()
        assert gc.get_freeze_count() == 0, "no more modules since"
        monkeypatch.setattr(memory, "_set_aside", len(sys.modules) - memory.GROWN)
        memory.set_modules_aside()
        assert gc.get_freeze_count() > 10_000
        part = Part()
        part.whole = part
        left = weakref.ref(part)
        del part
        gc.collect()
        assert left() is None
    finally:
        gc.unfreeze()

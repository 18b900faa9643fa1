"""MONAI is imported without what takes longest and is not used."""

import importlib
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from core.nets.monai_parts import without


def test_a_library_is_hidden_from_one_thread_while_it_lasts(tmp_path, monkeypatch):
    (tmp_path / "hidden_here.py").write_text("here = True\n")
    monkeypatch.syspath_prepend(tmp_path)
    with without("hidden_here"):
        with pytest.raises(ModuleNotFoundError, match="hidden_here"):
            importlib.import_module("hidden_here")
        with ThreadPoolExecutor(1) as other:
            assert other.submit(importlib.import_module, "hidden_here").result().here
        assert importlib.import_module("hidden_here").here  # the process has it
    del sys.modules["hidden_here"]
    assert importlib.import_module("hidden_here").here


def test_monai_is_imported_in_one_place():
    core = Path(__file__).parents[2] / "core"
    found = [path.name for path in core.rglob("*.py") if "from monai" in path.read_text("utf-8")]
    assert found == ["monai_parts.py"]

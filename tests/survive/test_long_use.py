"""Rows 39 to 41, 45 and 46, where nothing else tries them: data that would deceive, what does not
fit, the same words everywhere, memory over hours, a selection that stays.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.data.checks import dataset_findings
from core.errors import UserError
from core.jobs import queue
from core.method import check_params
from core.registry import methods
from core.training.compatibility import why_not
from core.workspace import review
from tests.app.test_cli import refused
from tests.survive import _make

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def ws(tmp_path_factory):
    made = _make.workspace(tmp_path_factory.mktemp("long") / "home")
    with pytest.MonkeyPatch.context() as patch:
        assert _make.do(made, _make.ask(made, patch).id).status == "done"
    return made


def test_data_that_would_flatter_a_method_are_named_before_it_is_trained(tmp_path):
    """Row 39: a patient in two parts and test rows that are training rows are named; fixed, no
    patient is in two.
    """
    data = _make.small(60, "deceiving")
    rng = np.random.default_rng(0)
    samples = np.asarray(data.samples).copy()
    parts = np.array(["train"] * 40 + ["test"] * 20)
    samples[40:43] = samples[:3]
    digit = data.table["digit"].astype(int) % 2
    table = data.table.assign(
        split=parts, digit=digit, patient=[f"p{i}" for i in rng.integers(0, 12, 60)]
    )
    ws = _make.workspace(tmp_path / "home")
    ws.add(replace(data, samples=samples, table=table, roles=data.roles | {"group": "patient"}))
    found = {f.kind: f for f in dataset_findings(ws, "deceiving")}
    kinds = {kind for kind, f in found.items() if f.severity == "stop"}
    assert {"leak", "duplicates"} <= kinds, kinds
    review.fix_split(ws, "deceiving", "leak")
    fixed = ws.dataset("deceiving")
    sides = {str(g): set(fixed.splits[fixed.groups == g]) for g in set(fixed.groups)}
    assert all(len(s) == 1 for s in sides.values())


@pytest.mark.parametrize("id", methods())
def test_what_does_not_fit_is_told_with_what_would(id):
    """Row 40: the wrong kind of data is declined by naming the kinds that do."""
    kind = methods()[id]
    for modality in {"image", "volume", "table", "text", "sequence", "series"} - set(
        kind.takes.modalities
    ):
        data = replace(_make.small(4), modality=modality)
        if modality == "volume" and kind().slicewise:
            continue
        said = why_not(kind, data)
        assert said
        assert said.startswith("Not installed") or (
            all(m in said for m in kind.takes.modalities) and modality in said
        ), said


def test_a_parameter_out_of_bounds_is_told_in_the_same_words_everywhere(ws, monkeypatch):
    """Row 41: checked once, for the command line, the form and whoever asks from Python; the form's
    own bounds are those of the method.
    """
    monkeypatch.setenv("LIGHTBOX_HOME", str(ws.home))
    for given in ({"dimensions": 0}, {"dimensions": "many"}, {"depth": 3}):
        with pytest.raises(UserError) as told:
            queue.train(ws, "few", "pca", given)
        with pytest.raises(UserError) as checked:
            check_params(methods()["pca"], given)
        pair = next(f"{k}={v}" for k, v in given.items())
        assert (
            refused("train", "few", "pca", "-p", pair).strip()
            == str(told.value)
            == str(checked.value)
        )
        assert next(iter(given)) in str(told.value)
    at = (
        AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=300)
        .run()
        .switch_page("../pages/train.py")
        .run()
    )
    box = next(n for n in at.number_input if n.label == "dimensions")
    bounds = [
        getattr(m, side)
        for m in methods()["pca"].Params.model_fields["dimensions"].metadata
        for side in ("ge", "le")
        if hasattr(m, side)
    ]
    assert bounds == [b for b in (box.min, box.max) if b is not None]


APPLIES = """
import json, psutil
from core.training.fit import fit_and_apply
from core.method import check_params
from core.registry import method_class
from core.training.run import Run
from tests.survive._make import small
data, found = small(), {}
small = {"epochs": 1, "latent": 4, "width": 4}
for id, params in (("pca", {"dimensions": 4}), ("gaussian_vae", small)):
    kind, run, sizes = method_class(id), Run(device="cpu"), []
    method, _ = fit_and_apply(kind, check_params(kind, params), data, run)
    for i in range(61):
        list(method.apply(data, run))
        sizes.append(psutil.Process().memory_info().rss)
    found[id] = sizes[10:]
print(json.dumps(found))
"""
RERUNS = """
import json, psutil
from streamlit.testing.v1 import AppTest
at = AppTest.from_file("app/main.py", default_timeout=300).run()
at = at.switch_page("../pages/results.py").run()
sizes = []
for i in range(40):
    at.run()
    assert not at.exception
    sizes.append(psutil.Process().memory_info().rss)
print(json.dumps({"reruns": sizes[16:]}))
"""


@pytest.mark.soak(only=True)
@pytest.mark.timeout(1800)  # of memory, not of time: a busy machine may take as long as it likes
@pytest.mark.parametrize("code", [APPLIES, RERUNS], ids=["applies", "reruns"])
def test_memory_does_not_grow_with_use(ws, code, monkeypatch):
    """Row 45: the least taken over the last third is at most 12 MB above the least of the first, in
    a process of its own.
    """
    monkeypatch.setenv("LIGHTBOX_HOME", str(ws.home))
    # a script's threads each get a heap of their own otherwise, which is no growth by use
    monkeypatch.setenv("MALLOC_ARENA_MAX", "1")
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.returncode, done.stderr[-3000:]
    for name, sizes in json.loads(done.stdout.splitlines()[-1]).items():
        third = len(sizes) // 3
        assert min(sizes[-third:]) - min(sizes[:third]) < 12 << 20, (name, sizes)


@pytest.mark.parametrize("many", [0, 7, 40])
def test_a_selection_stays_through_pages_and_colours(ws, monkeypatch, many):
    """Row 46: none, some or all of the cases, on other pages and in other colours; the session
    holds the ids, the link does not.
    """
    from app import state

    monkeypatch.setenv("LIGHTBOX_HOME", str(ws.home))
    at = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=300).run()
    at.session_state["selection"] = state.Selection(np.arange(many), 3 if many else None, "a test")
    for page in ("latent", "anomalies", "results", "train", "latent"):
        at = at.switch_page(f"../pages/{page}.py").run()
        assert not at.exception
        colours = next((b for b in at.main.selectbox if b.label == "Colour by"), None)
        if colours is not None:
            at = colours.select_index((colours.index + 1) % len(colours.options)).run()
        assert not at.exception
        assert at.session_state["selection"].rows.tolist() == list(range(many))
    assert not any(str(v) == "3" for v in at.query_params.values())

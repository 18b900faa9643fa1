"""Every view draws the example of every artifact it takes, beside a real run; none looks at which
method made it.
"""

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from app.views import views
from core import artifacts
from core.data.dataset import Dataset
from core.data.readers import read
from core.jobs import queue
from core.workspace.workspace import Workspace

PAIRS = [
    (v.id, name)
    for v in views()
    for name, kind in artifacts.TYPES.items()
    if issubclass(kind, v.takes)
]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """24 pictures of 16 x 16 in three classes, the shape of the examples, and a small run on
    them.
    """
    rng = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("arrays")
    x = rng.integers(0, 255, (24, 16, 16), dtype=np.uint8)
    np.savez(folder / "x.npz", images=x, labels=np.arange(24) % 3)
    data: Dataset = read(folder / "x.npz", name="noise")
    ws = Workspace(tmp_path_factory.mktemp("views"))
    ws.add(data)
    assert (
        queue.wait(ws, queue.train(ws, "noise", "pca", {"dimensions": 4}).id, timeout=120).status
        == "done"
    )
    return ws.home


def script(view: str, kind: str) -> None:
    from app import state
    from app.views import views
    from core import artifacts

    state.adopt_url()
    context = state.context()
    assert context is not None
    shown = next(v for v in views() if v.id == view)
    example = artifacts.TYPES[kind].example()
    example.name, example.made_by = "example", artifacts.MadeBy(run=context.job.id, method="pca")
    example.save(context.ws.folder(context.job.id) / "artifacts" / example.slug)
    shown.show(context.ws.artifact(context.job.id, example.slug), context)


@pytest.mark.parametrize(("view", "kind"), PAIRS)
def test_draws_the_example(view, kind, home, monkeypatch):
    monkeypatch.setenv("LIGHTBOX_HOME", str(home))
    at = AppTest.from_function(script, args=(view, kind), default_timeout=300).run()
    assert not at.exception
    assert len(at.main) > 0


def test_every_artifact_has_a_view():
    drawn = {name for _, name in PAIRS}
    # the page of the latent map draws it, with its Embedding
    assert set(artifacts.TYPES) - drawn == {"Map"}


def test_names_in_the_table_of_lesions_are_as_they_are(home, monkeypatch):
    monkeypatch.setenv("LIGHTBOX_HOME", str(home))
    monkeypatch.setattr(Dataset, "names", lambda self: ["patient_1.png"] * len(self))
    app = AppTest.from_function(script, args=("lesions", "Lesions"), default_timeout=120).run()
    app.segmented_control[0].set_value("all").run()
    assert set(app.dataframe[0].value["case"]) == {"patient_1.png"}

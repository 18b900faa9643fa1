"""The Python library: light to import, and the whole story from data to map."""

import subprocess
import sys
from inspect import signature

import numpy as np
import pytest

import lightbox
from core.method import NEEDS_FIT


def test_import_is_quick_and_loads_nothing_heavy():
    code = (
        "import sys, time, lightbox; "
        "assert time.process_time() < 0.2; "
        "assert not {'torch', 'pandas', 'streamlit', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_name_is_there():
    assert all(hasattr(lightbox, name) for name in dir(lightbox))
    with pytest.raises(AttributeError):
        _ = lightbox.nothing


def test_from_data_to_map():
    data = lightbox.sample("breast-cancer")
    fitted = lightbox.fit("pca", data, dimensions=3, device="cpu")
    assert fitted.embedding.z.shape == (569, 3)
    assert fitted.metrics
    assert "PCA(dimensions=3" in repr(fitted)
    drawn = lightbox.map(fitted, how="pca")
    assert drawn.xy.shape == (569, 2)
    assert np.isfinite(drawn.xy).all()


def test_reads_a_table(tmp_path):
    lines = [f"{i},{i % 7},{'ab'[i % 2]}" for i in range(40)]
    path = tmp_path / "few.csv"
    path.write_text("\n".join(["x,y,kind", *lines]))
    data = lightbox.load_dataset(path, label="kind")
    assert len(data) == 40
    assert list(data.classes) == ["a", "b"]


@pytest.mark.parametrize("id", lightbox.methods())
def test_a_method_that_is_not_fitted_says_so(id):
    method = lightbox.methods()[id]()
    assert repr(method).endswith(", not fitted")
    for name in NEEDS_FIT:
        ask = getattr(method, name, None)
        if ask is None:
            continue
        with pytest.raises(lightbox.UserError, match=r"is not fitted yet.*fit it first") as e:
            ask(*[None] * (len(signature(ask).parameters)))
        assert method.title in str(e.value)


def test_a_fit_that_fails_leaves_the_method_not_fitted():
    method = lightbox.methods()["pca"]()
    with pytest.raises(AttributeError):
        method.fit(None, None)
    assert "not fitted" in repr(method)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: lightbox.sample("nothing"),
        lambda: lightbox.fit("nothing", lightbox.sample("digits")),
        lambda: lightbox.fit("pca", lightbox.sample("digits"), dimensions=0),
        lambda: lightbox.open_run("no-such-folder", "abcdefgh"),
        lambda: lightbox.load_dataset("no-such-file.csv"),
    ],
)
def test_errors_are_one_sentence(wrong):
    with pytest.raises(lightbox.UserError) as e:
        wrong()
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("status", ["queued", "running", "failed"])
def test_a_run_that_is_not_finished_is_not_opened(tmp_path, status):
    from core.workspace.catalogue import Job
    from core.workspace.workspace import Workspace

    Workspace(tmp_path).catalogue.add_job(
        Job(id="unfinished1", kind="train", dataset="d", method="pca", status=status)
    )
    words = f"Run unfinished1 is {status}; only a finished run can be opened."
    with pytest.raises(lightbox.UserError) as e:
        lightbox.open_run(tmp_path, "unfin")
    assert str(e.value) == words


def test_results_are_explained_and_the_explanations_checked():
    import lightbox

    data = lightbox.sample("digits")
    fitted = lightbox.fit("pca", data, dimensions=4)
    made = lightbox.explain(fitted, [3, 5], "gradient_x_input", "axis 2")
    assert made.value.shape == (2, 1, 8, 8)
    assert np.abs(made.value).max() > 0
    metrics, grid = lightbox.check_explanations(
        fitted, hows=["gradient_x_input", "occlusion"], target="axis 2"
    )
    names = {m.name for m in metrics if m.value is not None}
    assert names == {"repeatability", "agreement between ways"}
    assert grid.x == ["gradient_x_input", "occlusion"]

"""The panel that says what the gate kept and dropped."""

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.workspace.workspace import Workspace
from tests.app.test_pages import opened
from tests.data._dicom import stack, write


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A head in eight slices and an ultrasound picture of the same patient."""
    from core.data.readers import read

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIGHTBOX_HOME", str(tmp_path_factory.mktemp("home")))
        source = tmp_path_factory.mktemp("source")
        volume = np.random.default_rng(0).integers(0, 900, (8, 16, 16))
        stack(
            source,
            volume,
            "axial",
            PatientName="CANARY^Jane",
            BodyPartExamined="HEAD",
            StudyDate="20200102",
        )
        write(source / "us.dcm", volume[0], Modality="US", InstitutionName="CANARY")
        ws = Workspace()
        yield ws.add(read(source, key=ws.key, stack="slices"))


def _panel():
    from app.panels.privacy import show
    from app.state import workspace

    show(workspace().dataset(workspace().catalogue.datasets()[0]["name"]))


def words(app):
    return " ".join(e.value for e in [*app.markdown, *app.caption]) + " ".join(
        d.value.to_csv() for d in app.dataframe
    )


def test_the_panel_says_what_went_and_warns_of_faces_and_held_cases(home):
    app = AppTest.from_function(_panel, default_timeout=300).run()
    assert not app.exception
    said = words(app)
    for part in (
        "patients have new ids",
        "no certified de-identification",
        "Heads are among these scans",
        "1 case was hidden pending review",
        "113100",
        "moved back by 1 to 1,825 days",
        "patient name,8",
    ):
        assert part in said, part
    assert "CANARY" not in said
    assert not app.expander[0].proto.expanded


def test_the_data_page_shows_it_and_no_name_of_anybody(home):
    app = opened("data")
    assert not app.exception
    said = words(app)
    assert "De-identification" in said
    assert "CANARY" not in said

"""Nothing under a strong copyleft licence comes with the base install."""

import subprocess
import sys
from email.message import Message

import pytest

from tests.licences import ROOT, Licence, licences, stated


def test_the_base_is_free_of_gpl_and_all_of_it_says_its_licence():
    found = {one.name: one for one in licences()}
    assert len(found) > 60
    bad = [one for one in found.values() if one.kind in ("strong", "unknown")]
    assert not bad
    assert "pylibjpeg-libjpeg" not in found
    assert {"torch", "imagecodecs", "pacmap", "faiss-cpu"} <= set(found)


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ([("License-Expression", "MIT")], "permissive"),
        ([("License-Expression", "GPL-3.0-only")], "strong"),
        ([("License-Expression", "GPL-2.0-or-later OR MIT")], "permissive"),
        (
            [
                ("License", "GPL V3.0"),
                ("Classifier", "License :: OSI Approved :: GNU General Public License v3 (GPLv3)"),
            ],
            "strong",
        ),
        (
            [("Classifier", "License :: OSI Approved :: GNU Affero General Public License v3")],
            "strong",
        ),
        (
            [
                (
                    "Classifier",
                    "License :: OSI Approved :: GNU Lesser General Public License v3 (LGPLv3)",
                )
            ],
            "weak",
        ),
        ([("License-Expression", "LGPL-2.1-only")], "weak"),
        ([("License-Expression", "MPL-2.0 AND MIT")], "weak"),
        ([("License-Expression", "MIT AND AGPL-3.0-only")], "strong"),
        ([("License", "BSD 3-Clause License\n\n" + "x" * 200)], "permissive"),
        ([], "unknown"),
    ],
)
def test_licences_are_told_apart(fields, kind):
    said = Message()
    for name, value in fields:
        said[name] = value
    assert Licence("x", "1", stated(said)).kind == kind


def test_the_command_lists_them():
    command = [sys.executable, "-m", "tests.licences"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "imagecodecs" in done.stdout

"""The files of docs/deploy have the form their programs read, and name what there is."""

import configparser
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from core.limits import UPLOAD_BYTES
from core.settings import Settings

DEPLOY = Path(__file__).parents[2] / "docs" / "deploy"
NAMES = {f"LIGHTBOX_{name.upper()}" for name in Settings.model_fields}


def pairs(path):
    lines = path.read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_every_setting_that_is_named_exists():
    named = set()
    for path in DEPLOY.iterdir():
        named |= set(re.findall(r"\bLIGHTBOX_[A-Z]+(?:_[A-Z]+)*\b", path.read_text()))
    assert named
    assert not named - NAMES


def test_the_environment_and_the_secrets_are_those_of_a_shared_server():
    assert set(pairs(DEPLOY / "lightbox.env")) <= NAMES
    told = tomllib.loads((DEPLOY / "secrets.toml").read_text())["auth"]
    # so that nobody runs with the letters of the example
    assert len(told["cookie_secret"]) < 32


def test_the_unit_can_be_read():
    unit = configparser.ConfigParser(strict=True, interpolation=None)
    unit.optionxform = str
    unit.read(DEPLOY / "lightbox.service")
    assert set(unit.sections()) == {"Unit", "Service", "Install"}
    assert unit["Service"]["KillMode"] == "process"
    if tool := shutil.which("systemd-analyze"):
        # paths of the example are not on this machine
        said = subprocess.run(
            [tool, "verify", DEPLOY / "lightbox.service"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert "Unknown" not in said.stderr


def test_nginx_takes_what_lightbox_takes():
    most = re.search(r"client_max_body_size (\d+)m;", (DEPLOY / "nginx.conf").read_text())
    assert UPLOAD_BYTES < int(most[1]) << 20 < 1.2 * UPLOAD_BYTES


@pytest.mark.parametrize("name", ["Dockerfile", "Dockerfile.gpu"])
def test_a_dockerfile_is_made_of_known_instructions_and_no_root(name):
    text = (DEPLOY / name).read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    known = {
        "FROM",
        "RUN",
        "WORKDIR",
        "COPY",
        "USER",
        "ENV",
        "VOLUME",
        "EXPOSE",
        "HEALTHCHECK",
        "CMD",
    }
    assert {line.split()[0] for line in lines} <= known
    assert lines[0].startswith("FROM ")
    assert lines.index("USER lightbox") < next(
        i for i, line in enumerate(lines) if line.startswith("CMD")
    )


def test_the_compose_file_builds_what_there_is():
    told = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    build = told["services"]["app"]["build"]
    root = (DEPLOY / build["context"]).resolve()
    assert (root / build["dockerfile"]).is_file()
    assert set(told["services"]["app"]["environment"]) <= NAMES
    for part in told["secrets"].values():
        assert (DEPLOY / part["file"]).is_file()

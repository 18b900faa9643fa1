"""How the server is started, and when it is not."""

import os
import sys

import pytest

from app.commands import serve
from app.components import latent_map
from core.errors import UserError
from tests.browser.conftest import _free_port


@pytest.fixture
def started(monkeypatch, tmp_path):
    """What this process would become: [command, environment]."""
    made = []
    monkeypatch.setenv("LIGHTBOX_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(os, "execve", lambda path, args, env: made.extend([args, env]))
    monkeypatch.setattr(os, "chdir", lambda path: None)
    return made


@pytest.mark.skipif(os.name == "nt", reason="the process is replaced on POSIX only")
@pytest.mark.parametrize("token", [True, False])
def test_the_token_is_in_the_printed_address_and_in_the_environment_alone(started, capsys, token):
    serve.app(_free_port(), token=token, plain_map=True)
    args, env = started
    said = capsys.readouterr().out
    assert args[:4] == [sys.executable, "-P", "-m", "streamlit"]
    assert env["PYTHONSAFEPATH"] == "1"
    if token:
        given = said.partition("?token=")[2].strip()
        assert len(given) >= 32
        assert env["LIGHTBOX_TOKEN"] == given
        assert not any(given in a for a in args)
    else:
        assert "token=" not in said
        assert (env["LIGHTBOX_TOKEN"], env["LIGHTBOX_NO_TOKEN"]) == ("", "1")


@pytest.mark.skipif(os.name == "nt", reason="the process is replaced on POSIX only")
def test_without_the_maps_component_it_is_refused_or_asked_for(started, monkeypatch, tmp_path):
    """A wheel that was built without it: another map is drawn only where somebody wishes so."""
    monkeypatch.setattr(latent_map, "BUNDLE", tmp_path / "nothing.js")
    for start in (lambda: serve.app(_free_port()), lambda: serve.demo(port=_free_port())):
        with pytest.raises(
            UserError, match=r"browser component is missing.*make component.*--plain-map"
        ):
            start()
    assert not (tmp_path / "home" / "server.json").exists()
    serve.app(_free_port(), plain_map=True)
    assert started

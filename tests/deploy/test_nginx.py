"""docs/deploy/nginx.conf, run as it is but for names, ports and the certificate: TLS, the socket,
uploads, and signing in at a real provider, in a real Chromium.
"""

import shutil
import ssl
import subprocess
import time
from contextlib import contextmanager

import httpx
import pytest

from core.people.register import Register
from tests.browser.conftest import _free_port, browser, chromium, serving, settled
from tests.browser.test_people import ANA, sign_in
from tests.deploy.test_files import DEPLOY

provider = pytest.importorskip("oidc_provider_mock")

pytestmark = pytest.mark.browser
__all__ = ["browser"]  # a fixture


def certified(folder):
    """Path of nginx, with a certificate for localhost in `folder`; skips where either cannot be."""
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    openssl = shutil.which("openssl")
    if not nginx or not openssl or chromium() is None:
        pytest.skip("No nginx, openssl or Chromium here (Debian: apt-get install nginx-light).")
    certificate = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
    named = "-addext subjectAltName=DNS:localhost -keyout tls.key -out tls.pem"
    subprocess.run(
        [openssl, *certificate.split(), *named.split()],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    return nginx


def configure(folder, more):
    """Write docs/deploy/nginx.conf into `folder` for this machine; gives its ports (TLS, plain)."""
    plain, tls = _free_port(), _free_port()
    text = (DEPLOY / "nginx.conf").read_text()
    for old, new in {
        "events {}": f"pid {folder}/nginx.pid; error_log {folder}/error.log; events {{}}",
        "http {": f"http {{ access_log off; client_body_temp_path {folder}/body;"
        f" proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;"
        f" uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;",
        "listen 80;": f"listen 127.0.0.1:{plain};",
        "listen 443 ssl;": f"listen 127.0.0.1:{tls} ssl;",
        "lightbox.example.org": "localhost",
        "/etc/lightbox/": f"{folder}/",
        **more,
    }.items():
        assert old in text
        text = text.replace(old, new)
    (folder / "nginx.conf").write_text(text)
    return tls, plain


@contextmanager
def running(nginx, folder, ports):
    """Nginx with the configuration in `folder`: its addresses (TLS, plain)."""
    tls, plain = ports
    ran = subprocess.Popen([nginx, "-c", folder / "nginx.conf", "-g", "daemon off;"])
    try:
        for _ in range(100):
            if ran.poll() is not None:
                pytest.fail((folder / "error.log").read_text())
            try:
                httpx.get(f"http://127.0.0.1:{plain}/")
                break
            except httpx.TransportError:
                time.sleep(0.1)
        yield f"https://localhost:{tls}", f"http://localhost:{plain}"
    finally:
        ran.terminate()
        ran.wait(20)


@pytest.fixture(scope="module")
def behind_nginx(tmp_path_factory):
    folder, app = tmp_path_factory.mktemp("nginx"), _free_port()
    nginx = certified(folder)
    tls, plain = configure(folder, {"127.0.0.1:8501": f"127.0.0.1:{app}"})
    people = Register(folder / "projects")
    people.add_project("lung", "Lung screening")
    people.set_role("lung", ANA, "owner")
    with provider.run_server_in_thread() as server:
        secrets = (DEPLOY / "secrets.toml").read_text()
        for old, new in {
            "https://lightbox.example.org": f"https://localhost:{tls}",
            "https://login.example.org": f"http://localhost:{server.server_port}",
            "PUT RANDOM LETTERS HERE": "random letters of this test, forty or so",
        }.items():
            assert old in secrets
            secrets = secrets.replace(old, new)
        (folder / "secrets.toml").write_text(secrets)
        (folder / "secrets.toml").chmod(0o600)
        env = {
            "LIGHTBOX_PROJECTS": str(folder / "projects"),
            "LIGHTBOX_LOGIN": "oidc",
            "LIGHTBOX_SECRETS": str(folder / "secrets.toml"),
            "LIGHTBOX_HOSTS": "localhost",
        }
        with (
            serving(env, folder / "app.log", port=app),
            running(nginx, folder, (tls, plain)) as (safe, moved),
        ):
            yield safe, moved, folder / "tls.pem"


def test_a_page_is_reached_by_tls_alone_and_after_signing_in(behind_nginx, browser, tmp_path):
    safe, plain, certificate = behind_nginx
    moved = httpx.get(plain + "/train?a=b")
    assert (moved.status_code, moved.headers["location"].partition("//")[0]) == (301, "https:")
    with httpx.Client(verify=ssl.create_default_context(cafile=certificate)) as client:
        page = client.get(safe + "/")
        assert page.status_code == 401
        assert "Sign in" in page.text
        assert page.headers["strict-transport-security"] == "max-age=31536000"
        assert page.headers["content-security-policy"].startswith("default-src 'self'")
        assert client.get(safe + "/", headers={"X-Forwarded-Email": ANA}).status_code == 401
        assert client.get(safe + "/_stcore/health").text == "ok"
        other = {"Origin": "https://elsewhere.example"}
        assert client.get(safe + "/", headers=other).status_code == 403

    page = sign_in(browser, safe, ANA)
    page.get_by_text("You are owner here.").wait_for()
    page.goto(f"{safe}/data")
    page.get_by_text("You are owner here.").wait_for()
    settled(page)
    table = tmp_path / "measured.csv"
    table.write_text("id,a,b\n" + "".join(f"{i},{i % 7},{i * 0.37:.6f}\n" for i in range(150_000)))
    assert table.stat().st_size > 2 << 20  # above nginx's own limit of 1 MiB
    page.get_by_test_id("stFileUploaderDropzoneInput").set_input_files(str(table))
    page.get_by_text("3.2 MB are in the workspace").wait_for()
    page.get_by_text("rows were looked at").wait_for()

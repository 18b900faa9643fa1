"""Builds the wheel, which puts one name into site-packages (docs/decisions/016-packaging.md).

A checkout has `core`, `app`, `pages` and `assets` at its top; the wheel has them below `lightbox`,
with the imports in them rewritten to match. An editable install is left alone: it is the checkout.
"""

import ast
import re
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.egg_info import egg_info

MOVED = ("core", "app", "pages", "assets")
IMPORT = re.compile(r"^(\s*(?:from|import) )(core|app)(?=[ .])", re.MULTILINE)
# names of modules in words: "core.jobs.worker", f"core.methods.{family}"
WORDS = re.compile(r"""(?<![\w"'])(f?["'])(core|app)\.(?=[a-z_]*[."':{])""")
MAP = Path("app/components/latent_map/dist/latent_map.js")


def rewrite(source: str) -> str:
    """`source` with every module of ours named below `lightbox`. ValueError for an import that
    would bind another name than it did.
    """
    source = WORDS.sub(r"\1lightbox.\2.", IMPORT.sub(r"\1lightbox.\2", source))
    for node in ast.walk(ast.parse(source)):
        for alias in node.names if isinstance(node, ast.Import) else ():
            if alias.name.startswith("lightbox.") and alias.asname is None:
                raise ValueError(f"line {node.lineno}: give {alias.name} a name with `as`")
    return source


class BuildPy(build_py):
    def run(self):
        if self.editable_mode:
            return super().run()
        if not MAP.exists():
            raise SystemExit(
                "The map's browser component is not built: run `make component` first."
            )
        built = Path(self.build_lib)
        shutil.rmtree(built, ignore_errors=True)
        super().run()
        for name in MOVED:
            (built / name).rename(built / "lightbox" / name)
        for path in sorted((built / "lightbox").rglob("*.py")):
            try:
                path.write_text(rewrite(path.read_text(encoding="utf-8")), encoding="utf-8")
            except ValueError as e:
                raise SystemExit(f"{path.relative_to(built)}, {e}") from None


class EggInfo(egg_info):
    def run(self):
        super().run()
        (Path(self.egg_info) / "top_level.txt").write_text("lightbox\n")


if __name__ == "__main__":
    setup(cmdclass={"build_py": BuildPy, "egg_info": EggInfo})

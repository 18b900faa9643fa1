"""The rules of the house, held by tests."""

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from core.cards import HEADINGS, load_card
from core.data.samples.catalogue import SAMPLES
from core.method import Goal, check_params
from core.registry import demo_runs, methods, suggested

ROOT = Path(__file__).parent.parent
FILES = [
    p
    for top in ("core", "app", "pages")
    for p in (ROOT / top).rglob("*.py")
    if "node_modules" not in p.parts
]


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def test_core_knows_no_screen():
    screen = ("streamlit", "plotly", "app", "pages")
    core = [path for path in FILES if path.relative_to(ROOT).parts[0] == "core"]
    assert [(p, m) for p in core for m in imports(p) if m.split(".")[0] in screen] == []


FORBIDDEN = (
    "unsafe_allow_html",
    "st.html(",
    "st.table(",
    "import pickle",
    "torch.load(",
    "allow_pickle=True",
    "joblib.load",
)


def test_files_are_short_and_safe():
    texts = {path: path.read_text() for path in FILES}
    assert [path for path, words in texts.items() if len(words.splitlines()) > 500] == []
    assert [(p, f) for p, words in texts.items() for f in FORBIDDEN if f in words] == []


COLOUR = re.compile(r"""["']#[0-9a-fA-F]{3,8}["']""")


def test_colours_come_from_the_palette():
    others = [path for path in FILES if path != ROOT / "core/imaging/palette.py"]
    assert [(p, c) for p in others for c in COLOUR.findall(p.read_text())] == []


# words that are a method's id and mean something else where they stand
HOMONYMS = {
    ("core/data/samples/phantom.py", "brightness"): "a column of a sample",
    ("core/maps/projections.py", "pca"): "a projection",
    ("core/maps/make.py", "pca"): "how t-SNE starts",
    ("core/methods/generative/_vae.py", "classifier"): "a part of a loss",
    ("core/nets/pbn.py", "classifier"): "a part of a loss",
}


def methods_named(path):
    """The methods a file names that are not its own: the file's place, and the id."""
    place = str(path.relative_to(ROOT))
    tree = ast.parse(path.read_text())
    named = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and node.value in methods()
    ]
    own = {path.stem, *(kind.tiny_on for kind in methods().values() if kind.id == path.stem)}
    return [(place, id) for id in named if id not in own and (place, id) not in HOMONYMS]


def test_no_method_is_named_outside_its_file():
    """What offers methods asks the registry; a method may name another for its contract tests."""
    files = [*FILES, *(ROOT / "lightbox").glob("*.py")]
    assert [found for path in files for found in methods_named(path)] == []


def test_methods_say_what_they_are_suggested_for():
    goals = set(get_args(Goal))
    for kind in methods().values():
        assert goals >= set(kind.suggested_for)
        assert all(run.sample in SAMPLES for run in kind.demo)
        assert all(run.preset in ("", *kind.presets) for run in kind.demo)
        for run in kind.demo:
            check_params(kind, kind.presets.get(run.preset, {}) | run.params)
    for goal in goals:
        places = [kind.suggested_for[goal] for kind in suggested(goal)]
        assert places == list(range(1, len(places) + 1))
    orders = [run.order for _, run in demo_runs()]
    assert orders == list(range(1, len(orders) + 1))


def test_no_arrow_goes_up_and_none_in_a_circle():
    """The contracts of [tool.importlinter]."""
    from importlinter.cli import lint_imports

    assert lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True) == 0


def test_listing_methods_does_not_import_torch():
    code = (
        "import sys; from core.registry import methods, measures; methods(); measures();"
        " sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize(
    "id", [*methods(), "robustness_index", "class_separability", "disentanglement"]
)
def test_every_method_and_published_measure_has_its_card(id):
    found = load_card(id)
    assert found is not None
    assert tuple(found.sections) == HEADINGS
    assert all(found.sections.values())

"""Writes the generated pages of `docs/` from the code and the stored evidence: `python -m
tests.write_docs`.

`tests/test_docs.py` fails where a stored page differs from what this module would write.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import typer

import lightbox
from app import cli
from core import cards, evidence, glossary, registry
from core.artifacts import TYPES
from core.artifacts.tables import KINDS
from core.json_output import method_json
from core.settings import Settings

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
MARK = "<!-- Written by `python -m tests.write_docs`; change the source, not this page. -->"
# Environment variables that are read directly, not by `core.settings.Settings`.
OTHER_SETTINGS = {
    "LIGHTBOX_METHODS": "Folders of your own methods and their cards, separated as in `PATH`.",
    "LIGHTBOX_DEBUG": "Set to anything: a bug of the command line ends with its traceback.",
    "LIGHTBOX_EVIDENCE": "Folder in which benchmarks put what they measured.",
    "LIGHTBOX_SHARED": "Folder of open data that some benchmarks and tests use where present.",
    "LIGHTBOX_TEST_DEVICE": "`cuda`: the tests of the methods run on the GPU.",
    "LIGHTBOX_SHOTS": "Folder in which browser tests put screenshots.",
    "LIGHTBOX_SOAK": "Any word: the tests also hunt long, as `make soak` does.",
    "LIGHTBOX_FUZZ": "How many damaged copies the tests of readers try.",
}


def write_all() -> list[Path]:
    """Write every generated page. Returns the paths of those that changed."""
    changed = []
    for name, page in PAGES.items():
        path = DOCS / name
        words = page()
        if not path.exists() or path.read_text(encoding="utf-8") != words:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(words, encoding="utf-8")
            changed.append(path)
    return changed


def commands() -> dict[str, Any]:
    """All commands by their full name ("data add"), as typer's command objects, in the order of the
    help.
    """
    found = {}
    for name, command in typer.main.get_command(cli.register()).commands.items():  # type: ignore[attr-defined]
        inner = getattr(command, "commands", {})
        found |= {f"{name} {sub}": each for sub, each in inner.items()} or {name: command}
    return {name: command for name, command in sorted(found.items()) if not command.hidden}


def options(command: Any) -> list[Any]:
    """The options of a command that its help shows."""
    shown = [p for p in command.params if p.opts[0].startswith("-")]
    return [p for p in shown if not p.hidden]


def cli_page() -> str:
    """Reference of every command and option, from the parser itself."""
    lines = [
        "# Command line",
        "",
        MARK,
        "",
        (
            "`--json` prints one JSON object. Exit code 0: done; 2: bad input, with one sentence"
            " that says"
        ),
        (
            "what to do; 1: a bug, with an id that is in the log. `lightbox COMMAND --help` says"
            " the same."
        ),
    ]
    for name, command in commands().items():
        arguments = [p for p in command.params if not p.opts[0].startswith("-")]
        usage = " ".join(["lightbox", name, *map(_argument, arguments)])
        lines += [
            "",
            f"## lightbox {name}",
            "",
            f"    {usage} [OPTIONS]",
            "",
            _one_line(command.help),
        ]
        rows = [
            f"| {_option_words(p)} | {_cell(p.help)} | {_default(p)} |" for p in options(command)
        ]
        lines += ["", "| option | what it does | default |", "|---|---|---|", *rows] if rows else []
    return "\n".join(lines) + "\n"


def _argument(parameter: Any) -> str:
    word = parameter.name.upper() + ("..." if parameter.nargs == -1 else "")
    return word if parameter.required else f"[{word}]"


def _option_words(option: Any) -> str:
    names = ", ".join(f"`{name}`" for name in [*option.opts, *option.secondary_opts])
    choices = get_args(option.type_descriptor.annotation)
    if choices and all(isinstance(choice, str) for choice in choices):
        names += " " + " \\| ".join(choices)
    return names + (" (repeatable)" if option.multiple else "")


def _default(option: Any) -> str:
    if option.required:
        return "required"
    if option.default in (None, "", False) or not isinstance(option.default, (str, int, float)):
        return ""
    return "on" if option.default is True else f"`{option.default}`"


def settings_page() -> str:
    """Reference of the environment variables."""
    lines = [
        "# Settings",
        "",
        MARK,
        "",
        "All are environment variables; none is needed.",
        "",
        "| setting | what it does | default |",
        "|---|---|---|",
    ]
    for name, field in Settings.model_fields.items():
        default = (
            "`~/.lightbox`" if name == "home" else f"`{field.default}`" * (field.default != "")
        )
        lines.append(f"| `LIGHTBOX_{name.upper()}` | {_cell(field.description)} | {default} |")
    lines += [f"| `{name}` | {words} | |" for name, words in OTHER_SETTINGS.items()]
    return "\n".join(lines) + "\n"


def artifacts_page() -> str:
    """Reference of the typed results, from their docstrings and fields."""
    lines = [
        "# Artifacts",
        "",
        MARK,
        "",
        (
            "A run gives typed results. Each has `rows` (ids of dataset rows), `name` and `made_by`"
            " (its"
        ),
        (
            "provenance), and is stored as `.npy` arrays and JSON. Anomaly scores: higher is more"
            " abnormal."
        ),
    ]
    common = {f.name for f in fields(next(iter(TYPES.values())).__mro__[1])}
    for name, kind in TYPES.items():
        text = inspect.getdoc(kind) or ""
        own = [f"`{f.name}`" for f in fields(kind) if f.name not in common]
        lines += ["", f"## {name}", "", text, "", f"Fields: {', '.join(own) or 'none of its own'}."]
    return "\n".join(lines) + "\n"


def methods_page() -> str:
    """Reference of methods and measures, from the registry and the cards."""
    methods, measures = registry.methods(), registry.measures()
    families: dict[str, list[Any]] = {}
    for kind in sorted(methods.values(), key=registry.purpose):
        families.setdefault(kind.family, []).append(kind)
    lines = [
        "# Methods and measures",
        "",
        MARK,
        "",
        (
            f"{len(methods)} methods and {len(measures)} measures. What a method answers, when to"
            " trust it"
        ),
        (
            "and what was changed against its paper stands on its method card, in the Library page"
            " and in"
        ),
        "`assets/cards`. Results: [benchmarks](../benchmarks.md).",
    ]
    for family, kinds in families.items():
        lines += ["", f"## {registry.families().get(family, family)} ({family})"]
        for kind in kinds:
            lines += _method_lines(kind)
    lines += ["", "## Measures", "", "| id | measures | needs |", "|---|---|---|"]
    for id, measure in measures.items():
        needs = [t.__name__ for t in measure.takes]
        needs += ["labels"] * bool(measure.labels) + ["masks"] * bool(measure.masks)
        lines.append(f"| `{id}` | {_cell(measure.title)} | {', '.join(needs)} |")
    return "\n".join(lines) + "\n"


def _method_lines(kind: Any) -> list[str]:
    said, card = method_json(kind), cards.load_card(kind.id)
    takes = said["takes"]
    lines = ["", f"### {kind.id}: {kind.title}", ""]
    if card is not None:
        lines += [card.sections.get("Answers", ""), ""]
        lines += [
            f"Reference: {card.reference}. [Method card](../../assets/cards/{kind.id}.md)",
            "",
        ]
    needed = [
        word for word in ("labels", "masks", "groups", "domains") if takes.get(word) == "needed"
    ]
    facts = f"Takes {', '.join(takes['modalities'])}"
    facts += f"; needs {', '.join(needed)}" if needed else ""
    facts += f"; builds upon a run with {', '.join(takes['on'])}" if takes.get("on") else ""
    lines += [f"{facts}. Gives {', '.join(said['gives'])}."]
    if said["params"]:
        lines += ["", "| parameter | what it does | default | range |", "|---|---|---|---|"]
        lines += [_parameter_row(name, facts) for name, facts in said["params"].items()]
    return lines


def _parameter_row(name: str, facts: dict[str, Any]) -> str:
    default = facts.get("default", "")
    default = "" if default in ("", None, []) else f"`{json.dumps(default, ensure_ascii=False)}`"
    return f"| `{name}` | {_cell(facts.get('help'))} | {default} | {_range(facts)} |"


def _range(facts: dict[str, Any]) -> str:
    if "choices" in facts:
        return ", ".join(map(str, facts["choices"]))
    low = (
        f"> {facts['above']}" if "above" in facts else f"≥ {facts['min']}" if "min" in facts else ""
    )
    high = (
        f"< {facts['below']}" if "below" in facts else f"≤ {facts['max']}" if "max" in facts else ""
    )
    return ", ".join(filter(None, (low, high)))


def python_page() -> str:
    """Reference of `import lightbox`: its functions, and the types they give."""
    lines = [
        "# Python",
        "",
        MARK,
        "",
        "`import lightbox` loads nothing heavy; each name is loaded at its first use. The types of",
        (
            "results are the [artifacts](artifacts.md). Bad input raises `lightbox.UserError`, one"
            " sentence."
        ),
        "",
        "```python",
        "import lightbox",
        "",
        'fitted = lightbox.fit("pca", lightbox.sample("breast-cancer"), dimensions=3)',
        'print(lightbox.map(fitted, how="pca").xy.shape)',
        "```",
    ]
    for name in sorted(set(dir(lightbox)) - set(TYPES), key=lambda n: (n.lower(), n)):
        value = getattr(lightbox, name)
        lines += ["", f"## lightbox.{name}", ""]
        if inspect.isfunction(value):
            lines += ["```text", _signature(name, value), "```", ""]
        lines.append(inspect.getdoc(value) or "")
        for inner in value.__all__ if inspect.ismodule(value) else ():
            function = getattr(value, inner)
            lines += ["", "```text", _signature(f"{name}.{inner}", function), "```", ""]
            lines.append(inspect.getdoc(function) or "")
    return "\n".join(lines) + "\n"


def _signature(name: str, function: Callable[..., Any]) -> str:
    """The call of a function with the names and defaults of its parameters, types as written."""
    return f"{name}{inspect.signature(function)}".replace("'", "")


def benchmarks_page() -> str:
    """All stored evidence as tables: value and what lies about it, by method."""
    lines = [
        "# Benchmarks",
        "",
        MARK,
        "",
        (
            "What `lightbox benchmark METHOD` measured, as stored in `assets/evidence`; the first"
            " row of a"
        ),
        "table is the method, the others are what it is set against. Speed and memory:",
        "[performance](performance.md).",
    ]
    for path in sorted(evidence.FOLDER.glob("*.json")):
        found = evidence.load_evidence(path.stem)
        assert found is not None
        made = found["made"]
        lines += ["", f"## {path.stem}", "", f"Measured {made['date']} on {made['hardware']}."]
        for table in found["tables"]:
            own = evidence.made_of(found, table)
            lines += _table_lines(table, {} if own == made else own)
    return "\n".join(lines) + "\n"


def _table_lines(table: dict[str, Any], made: dict[str, Any]) -> list[str]:
    """Lines of one table; `made`: when and on what, where it was measured before the others."""
    better = "higher" if table["higher_is_better"] else "lower"
    seeds = ", ".join(map(str, table["seeds"]))
    facts = (
        f"{table['data']}, {table['split']}, n = {table['n']}, seeds {seeds}; {better} is better."
    )
    facts += f" Measured {made['date']} on {made['hardware']}." if made else ""
    lines = ["", f"### {table['title']}", "", facts, ""]
    kinds = list(dict.fromkeys(row["kind"] for row in table["rows"] if row["kind"]))
    about = " | low | high | low to high" if kinds else ""
    lines += [f"| | {_cell(table['measure'])}{about} |", "|---" * (5 if kinds else 2) + "|"]
    for row in table["rows"]:
        values = [_number(row[key]) for key in ("value", "low", "high")]
        values = [*values, KINDS[row["kind"]] if row["kind"] else ""] if kinds else values[:1]
        lines.append(f"| {_cell(row['name'])} | {' | '.join(values)} |")
    return [*lines, "", _one_line(table["verdict"])] if table["verdict"] else lines


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def glossary_page() -> str:
    """Every term of the pages with its one sentence."""
    lines = [
        "# Glossary",
        "",
        MARK,
        "",
        "What the pages of the app say of a term where it stands underlined with dots, on hover and"
        " on keyboard focus.",
        "",
        "| Term | Also written | Meaning |",
        "|---|---|---|",
    ]
    for term in sorted(glossary.TERMS, key=lambda t: t.name.lower()):
        lines.append(f"| {_cell(term.name)} | {_cell(', '.join(term.also))} | {term.meaning} |")
    return "\n".join(lines) + "\n"


def decisions_page() -> str:
    """The list of decision pages, by their titles."""
    lines = [
        "# Decisions",
        "",
        MARK,
        "",
        "Where the code departs from what one would expect, and why.",
        "",
    ]
    for path in sorted((DOCS / "decisions").glob("[0-9]*.md")):
        title = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
        lines.append(f"- [{title}]({path.name})")
    return "\n".join(lines) + "\n"


def _one_line(words: str | None) -> str:
    return " ".join((words or "").split())


def _cell(words: str | None) -> str:
    """Words as they may stand in a cell of a table."""
    return re.sub(r"(?<!\\)\|", r"\\|", _one_line(words))


PAGES: dict[str, Callable[[], str]] = {
    "reference/cli.md": cli_page,
    "reference/settings.md": settings_page,
    "reference/artifacts.md": artifacts_page,
    "reference/methods.md": methods_page,
    "reference/python.md": python_page,
    "reference/glossary.md": glossary_page,
    "benchmarks.md": benchmarks_page,
    "decisions/README.md": decisions_page,
}

if __name__ == "__main__":
    for written in write_all():
        print(written.relative_to(ROOT))

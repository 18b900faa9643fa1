"""Runs the notebooks of `examples/`; `python -m tests.notebooks` stores what they put out."""

from __future__ import annotations

import ast
import base64
import contextlib
import io
import json
from pathlib import Path
from typing import Any

import matplotlib

EXAMPLES = Path(__file__).parent.parent / "examples"


def run(path: Path) -> dict[str, Any]:
    """The notebook with the outputs of running its code cells in order, as Jupyter shows them: what
    is printed, the last expression, and the pictures. Raises what a cell raises.
    """
    matplotlib.use("Agg")
    book = json.loads(path.read_text(encoding="utf-8"))
    names: dict[str, Any] = {"__name__": "__main__"}
    cells = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
    for count, cell in enumerate(cells, 1):
        cell["execution_count"] = count
        cell["outputs"] = _run_cell("".join(cell["source"]), names, count)
    return book


def _run_cell(source: str, names: dict[str, Any], count: int) -> list[dict[str, Any]]:
    tree = ast.parse(source)
    last = None
    if isinstance(tree.body[-1], ast.Expr) and not source.rstrip().endswith(";"):
        last = ast.Expression(tree.body.pop().value)  # type: ignore[attr-defined]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, "cell", "exec"), names)
        value = eval(compile(last, "cell", "eval"), names) if last is not None else None
    outputs: list[dict[str, Any]] = []
    if printed.getvalue():
        outputs.append({"output_type": "stream", "name": "stdout", "text": _lines(printed)})
    if value is not None:
        shown = {"text/plain": repr(value).splitlines(keepends=True)}
        if hasattr(value, "_repr_html_"):
            shown["text/html"] = value._repr_html_().splitlines(keepends=True)
        result = {"output_type": "execute_result", "metadata": {}, "data": shown}
        outputs.append({**result, "execution_count": count})
    return outputs + [_picture(data) for data in _figures()]


def _lines(printed: io.StringIO) -> list[str]:
    return printed.getvalue().splitlines(keepends=True)


def _figures() -> list[bytes]:
    """PNGs of the figures that are open, which are closed."""
    from matplotlib import pyplot

    drawn = []
    for number in pyplot.get_fignums():
        out = io.BytesIO()
        pyplot.figure(number).savefig(out, format="png", dpi=72, bbox_inches="tight")
        drawn.append(out.getvalue())
    pyplot.close("all")
    return drawn


def _picture(png: bytes) -> dict[str, Any]:
    data = {"image/png": base64.b64encode(png).decode(), "text/plain": ["<Figure>"]}
    return {"output_type": "display_data", "metadata": {}, "data": data}


def main() -> None:
    for path in sorted(EXAMPLES.glob("*.ipynb")):
        text = json.dumps(run(path), indent=1, ensure_ascii=False) + "\n"
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

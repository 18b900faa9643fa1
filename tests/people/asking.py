"""Read from the code which functions change a workspace, and which of them ask first."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILES = {
    *("write_json", "write_bytes", "write_with", "write_array", "write_once", "make_folder"),
    *("append_line", "publish", "move", "remove"),
}
RECORDS = {"write_record", "write_request", "drop_request", "end_job", "write_missing"}
CATALOGUE = {"add_dataset", "set_dataset", "remove_dataset", "add_job", "set_job", "remove_job"}
REGISTER = {"set_role", "add_project"}  # of the people of a server
PATHS = {"unlink", "write_text", "write_bytes", "mkdir", "rmdir", "touch", "symlink_to"}
OTHERS = {"rmtree", "copytree", "copyfile", "to_parquet", "write_manifest"}
SYSTEM = {"replace", "rename", "remove", "unlink", "makedirs", "mkdir", "truncate"}  # of os
Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(path: Path) -> Iterator[tuple[str, Function]]:
    """Give every function of a module and method of its classes, by "name" or "Class.name"."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, Function):
            yield node.name, node
        elif isinstance(node, ast.ClassDef):
            for one in node.body:
                if isinstance(one, Function):
                    yield f"{node.name}.{one.name}", one


def _calls(node: ast.AST) -> Iterator[ast.AST]:
    """What is called in a function, or handed on to be called."""
    for one in ast.walk(node):
        if isinstance(one, ast.Call):
            yield one.func
            yield from (a for a in one.args if isinstance(a, ast.Name | ast.Attribute))
            yield from (k.value for k in one.keywords if k.arg in ("on_click", "on_change"))


def imported(path: Path) -> dict[str, str]:
    """The functions that a module imports by name, wherever: what it calls them -> full name."""
    return {
        (a.asname or a.name): f"{node.module}.{a.name}"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom)
        for a in node.names
    }


def writes(node: ast.AST, names: dict[str, str]) -> bool:
    """Whether a function itself writes or removes files, or changes the catalogue."""
    for call in _calls(node):
        if isinstance(call, ast.Name):
            module, _, name = names.get(call.id, "").rpartition(".")
            if (module == "core.io.files" and name in FILES) or name in RECORDS:
                return True
        elif isinstance(call, ast.Attribute):
            owner = ast.unparse(call.value)
            if (
                (call.attr in CATALOGUE and owner.endswith("catalogue"))
                or (call.attr in RECORDS and owner == "records")
                or (call.attr in REGISTER and owner.endswith("register"))
                or (call.attr in FILES and owner == "files")
                or call.attr in OTHERS
                or (call.attr in SYSTEM and owner == "os")
                or call.attr in PATHS
            ):
                return True
    return False


def changers(path: Path) -> dict[str, Function]:
    """The functions of a module that write, themselves or through its private helpers."""
    names, found = imported(path), dict(functions(path))
    direct = {name for name, node in found.items() if writes(node, names)}
    while True:
        more = set()
        for name, node in found.items():
            called = {
                c.id if isinstance(c, ast.Name) else c.attr
                for c in _calls(node)
                if isinstance(c, ast.Name)
                or (isinstance(c, ast.Attribute) and ast.unparse(c.value) == "self")
            }
            if name not in direct and any(
                one.rpartition(".")[2] in called
                for one in direct
                if one.rpartition(".")[2].startswith("_")
            ):
                more.add(name)
        if not more:
            return {name: found[name] for name in found if name in direct}
        direct |= more


def is_public(name: str) -> bool:
    """Whether a function is for others: no part of its name begins with an underscore."""
    return not any(part.startswith("_") for part in name.split("."))


def asks(node: Function, names: dict[str, str]) -> bool:
    """Whether a function begins with `permit`; before it only values may be named that write
    nothing.
    """
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    for statement in body:
        if isinstance(statement, ast.Assign) and not writes(statement, names):
            continue
        return (
            isinstance(statement, ast.Expr)
            and isinstance(statement.value, ast.Call)
            and isinstance(statement.value.func, ast.Attribute)
            and statement.value.func.attr == "permit"
            and ast.unparse(statement.value.func.value) in ("ws", "self", "context.ws")
        )
    return False

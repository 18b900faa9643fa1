"""`python -m tests.licences`: every distribution that Lightbox and its extra
`train` need, with its licence; with
`--pins`, their versions for `make lock`.

By the metadata of what is installed, starting from the dependencies in pyproject.toml and of the
extra `train`. Exit 1 where one is under the GPL or AGPL, or does not say. What binary wheels carry
inside (compiler runtimes, codecs) is not in their metadata and not seen here.
"""

from __future__ import annotations

import re
import sys
import tomllib
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
STRONG = re.compile(r"(?<!lesser )(?<!library )\b(A?GPL|affero|gnu general public)", re.I)
WEAK = re.compile(r"\b(LGPL|MPL|EPL|CDDL)|mozilla|lesser general|library general", re.I)
SHORT = 100  # letters of a licence field that names a licence; longer ones hold its text


@dataclass(frozen=True)
class Licence:
    """Of one distribution: `words` as it states it ("" = not at all)."""

    name: str
    version: str
    words: str

    @property
    def kind(self) -> str:
        """ "strong" copyleft, "weak" copyleft, "permissive", or "unknown"."""
        if not self.words:
            return "unknown"
        choices = re.split(r"\bOR\b", self.words)
        if all(STRONG.search(c) for c in choices):
            return "strong"
        return "weak" if all(WEAK.search(c) or STRONG.search(c) for c in choices) else "permissive"


def stated(found: metadata.PackageMetadata) -> str:
    """The licence in a distribution's own words: expression, else classifiers, else the field."""
    expression = found.get("License-Expression")
    if expression:
        return str(expression)
    classifiers = [c for c in found.get_all("Classifier") or [] if c.startswith("License ::")]
    names = [c.rpartition(" :: ")[2] for c in classifiers]
    names = [n for n in names if n != "OSI Approved"]
    field = str(found.get("License") or "").strip()
    first = next((line.strip() for line in field.splitlines() if line.strip()), "")
    if len(field) <= SHORT and field and field.upper() not in ("UNKNOWN", "SEE LICENSE"):
        names.append(first)
    return "; ".join(dict.fromkeys(names)) or first[:SHORT]


def base() -> list[Requirement]:
    """What pyproject.toml requires, with the extra that trains and without the others."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = project["dependencies"] + project["optional-dependencies"]["train"]
    return [Requirement(line) for line in lines]


def closure(wanted: list[Requirement]) -> dict[str, metadata.Distribution | None]:
    """Normal name -> distribution (None = not installed) of all that `wanted` brings with it."""
    found: dict[str, metadata.Distribution | None] = {}
    done: set[tuple[str, str]] = set()
    while wanted:
        one = wanted.pop()
        name = re.sub(r"[-_.]+", "-", one.name).lower()
        for extra in ("", *one.extras):
            if (name, extra) in done:
                continue
            done.add((name, extra))
            if name not in found:
                try:
                    found[name] = metadata.distribution(name)
                except metadata.PackageNotFoundError:
                    found[name] = None
            there = found[name]
            inner = [Requirement(line) for line in (there.requires if there else None) or []]
            wanted += [r for r in inner if r.marker is None or r.marker.evaluate({"extra": extra})]
    return found


def licences() -> list[Licence]:
    """Of the base and all it brings, by name. LookupError where one is not installed."""
    out = []
    for name, there in sorted(closure(base()).items()):
        if there is None:
            raise LookupError(f"{name} is not installed")
        out.append(Licence(name, there.version, stated(there.metadata)))
    return out


def pins() -> list[str]:
    """ "name==version" of all that the base brings but torch, which has a build for each kind of
    processor: what requirements.lock is made from."""
    found = closure(base())
    return [f"{n}=={d.version}" for n, d in sorted(found.items()) if d is not None and n != "torch"]


def main() -> int:
    if sys.argv[1:] == ["--pins"]:
        sys.stdout.write("\n".join(pins()) + "\n")
        return 0
    found = licences()
    width = max(len(one.name) for one in found)
    lines = [f"{one.name:{width}}  {one.version:14}  {one.words or 'not stated'}" for one in found]
    weak = [one.name for one in found if one.kind == "weak"]
    bad = [one.name for one in found if one.kind in ("strong", "unknown")]
    lines += ["", f"{len(found)} distributions"]
    lines += [f"weak copyleft (MPL, LGPL): {', '.join(weak) or 'none'}"]
    lines += [f"GPL, AGPL or not stated: {', '.join(bad) or 'none'}"]
    sys.stdout.write("\n".join(lines) + "\n")
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())

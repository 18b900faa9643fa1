"""Train, validation and test parts: by patient where there is one, else stratified by label.

70/15/15 unless the data brings its own.
"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from core.data.role_words import is_flag, normalise_name

WORDS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
MORE_WORDS = {  # in a column; as the name of a folder they could be a class
    "tr": "train",
    "trn": "train",
    "trainset": "train",
    "trainingset": "train",
    "derivation": "train",
    "learning": "train",
    "va": "val",
    "vl": "val",
    "validate": "val",
    "valset": "val",
    "validationset": "val",
    "validierung": "val",
    "devset": "val",
    "eval": "val",
    "tuning": "val",
    "te": "test",
    "tst": "test",
    "ts": "test",
    "testset": "test",
    "testingset": "test",
    "holdout": "test",
    "heldout": "test",
    "discovery": "train",
    "replication": "test",
    "evaluation": "test",
    "publictest": "val",
    "privatetest": "test",
    "externaltest": "test",
    "internaltest": "test",
    "externalvalidation": "test",
    "internalvalidation": "val",
    "traindata": "train",
    "trainingdata": "train",
    "testdata": "test",
    "valdata": "val",
    "trainingcohort": "train",
    "testcohort": "test",
    "validationcohort": "val",
    "internaltrain": "train",
    "externaltestset": "test",
}
SPLIT_NAMES = {
    "split",
    "part",
    "subset",
    "fold_name",
    "set",
    "usage",
    "data_split",
    "dataset_split",
    "partition",
    "phase",
}
YES = {
    "1": True,
    "1.0": True,
    "true": True,
    "yes": True,
    "y": True,
    "0": False,
    "0.0": False,
    "false": False,
    "no": False,
    "n": False,
    "ja": True,
    "wahr": True,
    "t": True,
    "nein": False,
    "falsch": False,
    "f": False,
}
SHARES = (0.7, 0.15, 0.15)


def own_split(values: pd.Series, name: str = "split") -> pd.Series | None:
    """Return the data's own split in our words, or None when the column says anything else, or
    nothing in some row.

    Words decide (train, validation, test and the like), whatever the column is called: at least two
    parts, one of them train; in a column called split, set or the like one part is enough. A column
    called is_test or train_set may say yes and no.
    """
    different = pd.unique(values)
    known = WORDS | MORE_WORDS
    part = {v: known.get(re.sub(r"[\s_\-.]", "", str(v).lower())) for v in different}
    flag = is_flag(name)
    if flag and len(different) == 2:
        other = "test" if flag == "train" else "train"
        said = {v: YES.get(str(v).strip().lower()) for v in different}
        if None not in said.values() and len(set(said.values())) == 2:
            part = {v: flag if yes else other for v, yes in said.items()}
    for v in [v for v, p in part.items() if p is None and str(v).strip().lower() == "development"]:
        # beside training data it is what is tuned on
        part[v] = "val" if "train" in part.values() else "train"
    if None in part.values() or not part:
        return None
    parts = set(part.values())
    if normalise_name(name) not in SPLIT_NAMES and (len(parts) < 2 or "train" not in parts):
        return None
    return values.map(part)


def make_split(
    n: int,
    labels: np.ndarray | pd.Series | None = None,
    groups: np.ndarray | pd.Series | None = None,
    seed: int = 0,
) -> tuple[np.ndarray, str]:
    """("train"|"val"|"test" [n], the rule in words). Groups never stand on two sides; below 10 rows
    all are "train".

    Rows without a group stand for themselves. Two groups: the larger is for training, the smaller
    for testing; one: all is training.
    """
    if n < 10:
        return np.full(n, "train"), "fewer than 10 rows: all are used for training"
    rng = np.random.default_rng(seed)
    if groups is not None:
        at, values = pd.factorize(groups)
        alone = np.flatnonzero(at < 0)
        at[alone] = len(values) + np.arange(len(alone))
        names, code = np.unique(
            np.array([*(f"group {g}" for g in values.tolist()), *(f"row {i}" for i in alone)]),
            return_inverse=True,
        )
        code = code[at]
        size = np.bincount(code)
        if len(names) == 1:
            return (
                np.full(n, "train"),
                "one group only: all rows are used for training, none is left to test on",
            )
        if len(names) == 2:
            split = np.where(code == size.argmax(), "train", "test")
            return split, "two groups only: the larger is for training, the smaller for testing"
        side, filled = np.full(len(names), "train", dtype="<U5"), dict.fromkeys(("test", "val"), 0)
        want = {"test": SHARES[2] * n, "val": SHARES[1] * n}
        sizes = size.tolist()
        # each part takes the group while that brings it nearer to its share
        for g in rng.permutation(len(names)).tolist():
            for part in ("test", "val"):
                more = abs(filled[part] + sizes[g] - want[part])
                if more < abs(filled[part] - want[part]):
                    side[g] = part
                    filled[part] += sizes[g]
                    break
            else:
                # neither part took it: does the smallest group still fit?
                if size.min() > 2 * max(want[p] - filled[p] for p in want) + 1e-6:
                    break
        # groups too uneven to come near the share: the smallest is tested on
        if not filled["test"]:
            side[size.argmin()] = "test"
        return side[code], f"70/15/15 by group: {len(names)} groups, none on two sides"
    strata = np.zeros(n, dtype=int)
    if labels is not None:
        at, values = pd.factorize(labels, use_na_sentinel=False)
        strata = np.unique(np.array([str(v) for v in values]), return_inverse=True)[1][at]
    split = np.full(n, "train", dtype="<U5")
    for s in np.unique(strata):
        rows = rng.permutation(np.flatnonzero(strata == s))
        test, val = round(SHARES[2] * len(rows)), round(SHARES[1] * len(rows))
        split[rows[:test]], split[rows[test : test + val]] = "test", "val"
    return split, "70/15/15 by row" + ("" if labels is None else ", the same share of each class")


def add_split(
    table: pd.DataFrame, roles: dict[str, str], seed: int = 0
) -> tuple[pd.DataFrame, dict[str, str], str]:
    """Return the table with a split column, the roles with "split", and the rule in words; a split
    the data brings is kept.
    """
    if "split" in roles:
        own = own_split(table[roles["split"]], roles["split"])
        # a person said so, or a reader
        own = own_split(table[roles["split"]]) if own is None else own
        if own is not None:
            return table.assign(**{roles["split"]: own}), roles, "the data's own split"
    by = {r: _plain(table[roles[r]]) for r in ("group", "label") if r in roles}
    if "group" in by:
        split, rule = make_split(len(table), groups=by["group"], seed=seed)
    else:
        split, rule = make_split(len(table), by.get("label"), seed=seed)
    name = "split" if "split" not in table else "part"
    return table.assign(**{name: split}), {**roles, "split": name}, rule


def _plain(values: pd.Series) -> np.ndarray | pd.Series:
    """Return Python's objects for all but words, whose different ones pandas finds sooner."""
    return values if values.dtype == "str" else values.to_numpy(dtype=object)

"""Which adaptation carries a model from one site to another, compared as if no label of the new
site were known (SKADA-Bench).

Objective
    For every shift (source sites -> target site), outer split, contestant and setting one cell:
    scorers' values on inner validation rows, the target's labels hidden, and the accuracy on the
    target's outer test rows. A setting is chosen by a scorer, never by the test rows; gains are
    differences to training on the source. Contestants are ranked over shifts (Friedman, Nemenyi;
    Wilcoxon with Holm's correction against training on the source).

Cost
    shifts x splits x settings x (inner + 1) fits, most of them twice for circular validation. Heart
    disease of four hospitals (12 shifts, 3 splits, 15 settings) takes some minutes on two cores.
    Cells are kept on disk; a further contestant costs only its own.

Differences from the paper
    One kind of reader (logistic regression, straight or on random Fourier features), chosen on
    held-out rows of the source; smaller grids, three splits by default; target rows are split
    without regard to their labels; patients stay on one side; no deep methods, no mixture
    validation. Strengths and kernel widths are per column. Deep embedded validation is given its
    losses as a column: skada 0.6 multiplies every loss with every weight. Scorers also choose among
    contestants, and the contestant so chosen predicts every row.

Reference
    Lalou, Gnassounou, Collas, de Mathelin, Kachaiev, Odonnat, Gramfort, Moreau, Flamary,
    SKADA-Bench: Benchmarking unsupervised domain adaptation methods with realistic validation on
    diverse modalities, TMLR 2025; package skada.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from core.artifacts import Artifact, Benchmark, Grid, Metric, Metrics, Predictions
from core.errors import UserError
from core.io.tensors import taken
from core.method import Method, Takes
from core.methods.protocols import _tables
from core.methods.protocols._names import SOURCE, TARGET
from core.methods.protocols._params import SkadaBenchParams

if TYPE_CHECKING:
    from core.data.dataset import Dataset
    from core.methods.protocols._contest import Shift
    from core.training.run import Run

# labelled learning rows below which a site, or a class of the source, is left out
SITE, CLASS = 20, 6
SHARE = 0.2  # of the rows are held out, outside and inside


class SkadaBench(Method):
    id = "skada_bench"
    title = "Domain adaptation benchmark (SKADA-bench)"
    seed_number = 26
    takes = Takes(
        ("table",),
        labels="needed",
        domains="needed",
        groups="optional",
        min_rows=40,
        trains=False,
        requires=("skada",),
        seconds_per_value=2e-7,
    )
    gives = (Benchmark, Grid, Predictions, Metrics)
    Params = SkadaBenchParams
    tiny = {"splits": 1, "inner": 1, "contestants": "CORAL, kernel mean matching"}
    presets = {
        "fast": {"splits": 1, "inner": 2},
        "standard": {},
        "thorough": {"splits": 5, "inner": 5, "grid": "full"},
    }

    def declines(self, data: Dataset) -> str | None:
        known = {
            str(d) for d in (data.domains if data.domains is not None else []) if d is not None
        }
        return None if len(known) >= 2 else f"Needs at least two sites; this data has {len(known)}."

    def passes(self, n: int) -> float:
        return float(
            n
            * self.params.splits
            * (self.params.inner + 1)
            * (15 if self.params.grid == "small" else 30)
            * 10
        )

    def names(self) -> list[str]:
        """The contestants asked for, between the plain model and the upper bound. UserError for one
        that is not there.
        """
        from core.methods.protocols._contest import CONTESTANTS

        asked = [w.strip() for w in self.params.contestants.split(",") if w.strip()]
        unknown = [w for w in asked if w not in CONTESTANTS]
        if unknown:
            raise UserError(
                f"“contestants”: there is no {' and no '.join(f'“{w}”' for w in unknown)} (there"
                f" are: {', '.join(CONTESTANTS)})."
            )
        return [n for n in CONTESTANTS if not asked or n in asked or n in (SOURCE, TARGET)]

    # -- the contest -------------------------------------------------------------------------------
    def fit(self, data: Dataset, run: Run) -> None:
        from threadpoolctl import threadpool_limits

        run.check()
        # many small fits: threads that wait for each other make them several times slower
        with threadpool_limits(1):
            self.contest(data, run)

    def contest(self, data: Dataset, run: Run) -> None:
        """Every cell of every shift and split, then the contestant chosen for each site, fitted on
        all its rows.
        """
        p, self.class_names_ = self.params, list(data.classes)
        learn = data.take(
            np.flatnonzero(
                (data.splits != "test")
                & (data.labels >= 0)
                & np.array([d is not None for d in _domains(data)])
            )
        )
        learn = learn.take(np.argsort(learn.rows))  # the order of the rows changes nothing
        site = np.array([str(d) for d in _domains(learn)])
        names, size = np.unique(site, return_counts=True)
        sites = [str(n) for n, s in zip(names, size) if s >= SITE]
        self.left_out_ = [f"{n} ({s} rows)" for n, s in zip(names, size) if s < SITE]
        if len(sites) < 2:
            raise UserError(
                f"Needs two sites with at least {SITE} labelled learning rows each; here there are"
                f" {len(sites)}."
            )
        x, self.contestants_ = learn.inputs().astype(np.float64), self.names()
        everyone = {t: [s for s in sites if s != t] for t in sites}
        pairs = (
            [([s], t) for t in sites for s in everyone[t]]
            if p.shifts == "pairs"
            else [(everyone[t], t) for t in sites]
        )
        shifts = [(s, t, k) for s, t in pairs for k in range(p.splits)]
        finals = [(everyone[t], t, -1) for t in sites]  # split -1: nothing held out
        self.cells_: list[dict[str, Any]] = []
        self.models_: dict[str, dict[str, np.ndarray]] = {}
        chosen: dict[str, str] = {}
        for done, (sources, target, k) in enumerate(shifts + finals):
            run.report_to(done, len(shifts) + len(finals), {})
            made = _shift(
                x, learn.labels, site, learn.groups, sources, target, k, p.inner, run.seed
            )
            if made is None:
                self.left_out_.append(
                    f"{' + '.join(sources)} as a source (fewer than two classes of {CLASS} rows)"
                )
                continue
            shift, codes, mean, sd = made
            reader, cells = self.all_settings(shift, run)
            task = f"{sources[0] if p.shifts == 'pairs' else 'the others'} → {target}"
            if k >= 0:
                self.cells_ += [c | {"task": task, "split": k} for c in cells]
                continue
            picked = _tables.pick([c for c in cells if c["contestant"] != TARGET], p.scorer)
            if picked is None:
                raise UserError(
                    f"The scorer “{p.scorer}” could value no contestant for {target}; choose"
                    " another scorer."
                )
            chosen[target] = picked["contestant"]
            for role, c in (
                ("chosen", picked),
                ("plain", next(c for c in cells if c["contestant"] == SOURCE)),
            ):
                self.models_[f"{target}/{role}"] = self.final(c, reader, shift) | {
                    "codes": codes,
                    "mean": mean,
                    "sd": sd,
                }
        if not self.cells_ or not self.models_:
            raise UserError(
                f"No site has two classes with at least {CLASS} labelled learning rows each, so"
                " there is nothing to carry over."
            )
        self.left_out_ = list(dict.fromkeys(self.left_out_))
        self.chosen_ = chosen
        self.models_["/pooled"] = _pooled(x, learn.labels, run.seed)

    def all_settings(self, shift: Shift, run: Run) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """(the reader chosen on the source, one dict for each contestant and setting)."""
        from core.methods.protocols import _contest

        reader, digest = _contest.best_reader(shift), shift.digest()
        least = min(
            int((shift.side[fit] == side).sum()) for fit, _ in shift.inner for side in (1, -2)
        )
        found = []
        for name in self.contestants_:
            for setting in _contest.settings(name, self.params.grid, shift.x.shape[1], least):
                run.check()
                found.append(
                    {
                        "contestant": name,
                        "setting": setting,
                        **_contest.kept(run.cache, name, setting, reader, shift, digest),
                    }
                )
        return reader, found

    def final(
        self, cell: dict[str, Any], reader: dict[str, Any], shift: Shift
    ) -> dict[str, np.ndarray]:
        """The contestant of `cell`, fitted on all rows of the shift, as arrays."""
        import warnings

        from core.methods.protocols import _contest

        with warnings.catch_warnings(), np.errstate(all="ignore"), _contest.routing():
            warnings.simplefilter("ignore")
            made = _contest.fitted(cell["contestant"], cell["setting"], reader, shift, shift.train)
        return _contest.head(made, shift.x.shape[1])

    # -- artifacts ---------------------------------------------------------------------------------
    def probabilities(self, data: Dataset, role: str) -> np.ndarray:
        """float32 [n, classes]: each row read by the model made for its site (`role` chosen or
        plain), rows of other sites by one of all sites.
        """
        x, prob = data.inputs().astype(np.float64), np.zeros((len(data), len(self.class_names_)))
        site = np.array([f"{d}/{role}" for d in _domains(data)], dtype=object)
        for name in dict.fromkeys(site):
            at = np.flatnonzero(site == name)
            prob[at] = _read(
                self.models_.get(name, self.models_["/pooled"]), x[at], len(self.class_names_)
            )
        return prob.astype(np.float32)

    def apply(self, data: Dataset, run: Run) -> Iterator[Artifact]:
        p = self.params
        for name, scorer in (
            ("chosen without labels", p.scorer),
            ("settings by target labels", _tables.ORACLE),
        ):
            yield _tables.benchmark(
                self.cells_,
                self.contestants_,
                scorer,
                p.measure,
                data.rows,
                name.replace(" ", "-"),
                choices=scorer == p.scorer,
            )
        yield _tables.grid(self.cells_, self.contestants_, p.measure, data.rows)
        prob = self.probabilities(data, "chosen")
        yield Predictions(rows=data.rows, prob=prob, classes=list(self.class_names_))
        yield Metrics.of(
            [
                *self.on_test(data, prob),
                *_tables.figures(self.cells_, self.contestants_, p.scorer, p.measure),
                *self.said(),
            ],
            data.rows,
        )

    def on_test(self, data: Dataset, prob: np.ndarray) -> list[Metric]:
        """Accuracy on the test rows, which no part of the contest has seen, of the chosen
        contestants and of the plain model.
        """
        from core.stats.bootstrap import mean_interval

        at = np.flatnonzero(
            (data.splits == "test")
            & (data.labels >= 0)
            & np.array([f"{d}/plain" in self.models_ for d in _domains(data)])
        )
        if len(at) < 5:
            return []
        part, groups = data.take(at), data.groups[at] if data.groups is not None else None
        own, plain = (
            prob[at].argmax(1) == part.labels,
            self.probabilities(part, "plain").argmax(1) == part.labels,
        )
        found = []
        for name, value in (
            ("accuracy of the chosen contestants", own),
            (f"accuracy of {SOURCE}", plain),
            ("gain of the chosen contestants", own.astype(float) - plain),
        ):
            found.append(
                Metric(name, float(value.mean()), split="test", n=len(at)).within(
                    mean_interval(value, groups, (-1, 1))
                )
            )
        return found

    def said(self) -> list[Metric]:
        """What was chosen for each site, and what was left out."""
        found = [
            Metric("chosen for", None, group=site, higher_is_better=None, note=name)
            for site, name in self.chosen_.items()
        ]
        return found + [
            Metric("left out", None, higher_is_better=None, note=words) for words in self.left_out_
        ]

    @classmethod
    def upgrade(cls, state: dict[str, Any]) -> dict[str, Any]:
        kept = {k: v for k, v in state.items() if not k.startswith("model.")}
        return kept | {"models": {name: taken(f"model.{name}", state) for name in state["models"]}}


def _domains(data: Dataset) -> np.ndarray:
    return data.domains if data.domains is not None else np.full(len(data), None, dtype=object)


def _held(strata: np.ndarray, units: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """`bool [n]`: SHARE of the units (patients, or rows) of each stratum, at least one where there
    are two; a unit counts to the stratum of its first row.
    """
    _, first, code = np.unique(units, return_index=True, return_inverse=True)
    out = np.zeros(len(first), dtype=bool)
    for s in np.unique(strata[first]):
        members = rng.permutation(np.flatnonzero(strata[first] == s))
        out[members[: max(1, round(SHARE * len(members))) if len(members) > 1 else 0]] = True
    return out[code]


def _shift(
    x: np.ndarray,
    labels: np.ndarray,
    site: np.ndarray,
    groups: np.ndarray | None,
    sources: list[str],
    target: str,
    k: int,
    inner: int,
    seed: int,
) -> tuple[Shift, np.ndarray, np.ndarray, np.ndarray] | None:
    """(the shift of outer split `k`, -1 = nothing held out; the classes' codes; mean and deviation
    of its columns), or None where the source has fewer than two classes. Which target rows are held
    out does not depend on their labels.
    """
    from core.methods.protocols._contest import Shift

    from_source, to_target = np.isin(site, sources), site == target
    codes, size = np.unique(labels[from_source], return_counts=True)
    codes = codes[size >= CLASS]
    at = np.flatnonzero((from_source & np.isin(labels, codes)) | to_target)
    if len(codes) < 2:
        return None
    side = np.where(to_target[at], -2, 1)
    y = np.where(np.isin(labels[at], codes), np.searchsorted(codes, labels[at]), len(codes)).astype(
        np.int64
    )
    own = np.array([f"row {i}" for i in at])
    units = (
        own
        if groups is None
        else np.array([w if g is None else f"of {g}" for g, w in zip(groups[at], own)])
    )
    strata = np.where(side > 0, y, -1)
    rng = np.random.default_rng((seed, k + 1, *target.encode()))
    test = _held(strata, units, rng) & (side < 0) if k >= 0 else np.zeros(len(at), dtype=bool)
    # a patient of both sites is never on two sides of a split
    train = np.flatnonzero(~test & ~np.isin(units, units[test]))
    pairs = []
    for _ in range(inner):
        check = np.zeros(len(train), dtype=bool)
        for part in (side[train] > 0, side[train] < 0):
            check[part] = _held(strata[train][part], units[train][part], rng)
        check &= ~np.isin(units[train], units[train][~check])
        pairs.append((train[~check], train[check]))
    there = np.isfinite(x[at[train]])
    count = np.maximum(there.sum(0), 1)
    mean = np.where(there, x[at[train]], 0).sum(0) / count
    sd = np.sqrt((np.where(there, x[at[train]] - mean, 0) ** 2).sum(0) / count)
    sd[sd < 1e-12] = 1.0
    return (
        Shift(
            np.nan_to_num((x[at] - mean) / sd),
            y,
            side,
            train,
            np.flatnonzero(test),
            tuple(pairs),
            seed,
        ),
        codes,
        mean,
        sd,
    )


def _pooled(x: np.ndarray, labels: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """A straight reader of all sites' learning rows: what rows of a site that is not known are read
    by.
    """
    from core.methods.protocols._contest import Reader

    mean, sd = np.nan_to_num(np.nanmean(x, 0)), np.nan_to_num(np.nanstd(x, 0))
    sd[sd < 1e-12] = 1.0
    made = Reader(seed=seed).fit(np.nan_to_num((x - mean) / sd), labels)
    codes, d = made.classes_.astype(np.int64), x.shape[1]
    return {
        "turn": np.eye(d),
        "move": np.zeros(d),
        "omega": made.omega_,
        "phase": made.phase_,
        "weight": made.weight_,
        "bias": made.bias_,
        "curve": np.zeros(1),
        "known": np.arange(len(codes)),
        "codes": codes,
        "mean": mean,
        "sd": sd,
    }


def _read(model: dict[str, np.ndarray], x: np.ndarray, classes: int) -> np.ndarray:
    """float64 [n,classes]: class probabilities of raw rows by a model given as arrays."""
    from scipy.special import softmax

    z = np.nan_to_num((x - model["mean"]) / model["sd"]) @ model["turn"] + model["move"]
    if model["curve"][0]:
        z = np.sqrt(2 / len(model["phase"])) * np.cos(z @ model["omega"] + model["phase"])
    prob = np.zeros((len(x), classes))
    prob[:, model["codes"][model["known"]]] = softmax(z @ model["weight"] + model["bias"], axis=1)
    return prob

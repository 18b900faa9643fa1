"""Batch predictive inference: what an earlier classifier can promise about a batch of m new cases
as a whole.

Objective
    Score S = 1 - p(true class). The ranks of m new scores among n calibration scores are uniform
    over non-decreasing tuples, so the k-th score with P(R_z <= k) >= 1 - alpha, z = ceil((1 -
    delta) m), gives sets of classes of which at least 1 - delta hold the truth in at least 1 -
    alpha of all batches. Shares of a class in a group: mean of 1{y = c} - p_c(x), bounded from both
    sides by the exact law of the rank sum (alpha / 2 each).

Cost
    One pass of the model over all cases; the bound of a mean is O(m q n) for n <= 300 calibration
    cases, seconds.

Differences from the paper
    Shares are bounded by counts above three fixed ranks by default, far tighter for a good
    classifier than the paper's rank sum (kept as a choice). Calibration is one random case of each
    patient of the validation part, so that cases are exchangeable; an empty set gets its likeliest
    class, which only adds; the law of the rank sum is the exact one (the published simulations draw
    ranks with replacement, which is not uniform). Where there are sites, each is calibrated by
    itself, since cases of one site are exchangeable with each other only; a site of too few
    calibration cases takes the threshold of all sites and is promised nothing.

Reference
    Lee, Tchetgen Tchetgen, Dobriban, Batch predictive inference, arXiv 2024.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from core.artifacts import Artifact, Metric, Metrics, Model, Predictions
from core.errors import UserError
from core.method import Method, Takes
from core.methods.conformal import _ranks
from core.params import BaseParams, param
from core.registry import open_model

if TYPE_CHECKING:
    from core.data.dataset import Dataset
    from core.training.run import Run

MOST = 300  # calibration cases used for the bound of a mean
LEAST = 10  # calibration cases to calibrate on at all, and of a site for bounds of its own


class BatchPI(Method):
    id = "batch_pi"
    title = "Batch conformal prediction sets"
    seed_number = 61
    takes = Takes(
        ("image", "volume", "table", "series"),
        labels="needed",
        on=("Model",),
        min_rows=5,
        trains=False,
        seconds_per_value=2e-8,
    )
    gives = (Predictions, Metrics)
    tiny_on = "classifier"
    tiny = {"batch": 5, "share": 0.6, "certainty": 0.6}
    presets = {"fast": {}, "standard": {}, "thorough": {}}

    class Params(BaseParams):
        batch: int = param(
            20, "How many new cases make a batch (a clinic's next patients).", ge=1, le=100
        )
        share: float = param(
            0.9, "At least this share of a batch's sets shall hold the truth.", gt=0.05, lt=1
        )
        certainty: float = param(
            0.9, "In at least this share of all batches the promise shall hold.", gt=0.05, lt=1
        )
        by: str = param(
            "",
            "A column of groups (hospital, ward), each calibrated by itself, whose share of each"
            " class is bounded; empty takes the site, or batches in turn.",
            column=True,
        )
        bound: Literal["counts above ranks", "rank sum"] = param(
            "counts above ranks", "How shares of a class are bounded; both hold.", advanced=True
        )

    def declines(self, data: Dataset) -> str | None:
        n = len(_one_a_patient(data.part("val"), 0))
        return (
            None
            if n >= LEAST
            else (
                f"Needs at least {LEAST} validation cases of different patients to calibrate on;"
                f" this data has {n}."
            )
        )

    def declines_on(self, on: dict[str, Artifact]) -> str | None:
        model = next(a for a in on.values() if isinstance(a, Model))
        if "predict" in model.abilities and len(model.classes) > 1:
            return None
        return (
            f"That run’s model ({model.method}) predicts no classes of whole cases; choose a"
            " classifier."
        )

    def fit(self, data: Dataset, run: Run) -> None:
        model = run.base(Model)
        val = data.part("val")
        prob = self.asked(model, data, run)[data.splits == "val"]
        self.classes_ = list(model.classes)
        if prob.ndim != 2:
            raise UserError(
                "The earlier run's model predicts a class for every pixel; sets need one class a"
                " case."
            )
        y = self.codes(val)
        use = [i for i in _one_a_patient(val, run.seed) if y[i] >= 0]
        if len(use) < LEAST:
            raise UserError(
                f"Only {len(use)} validation cases have one of the model's classes as label; at"
                f" least {LEAST} are needed to calibrate on."
            )
        self.calibration_, self.truth_ = prob[use].astype(np.float64), y[use]
        self.sites_ = self.sites_of(val)[use]
        self.calibrate()
        run.report(0)

    def calibrate(self) -> None:
        """The thresholds: of all calibration cases, of each site that has enough of its own, and
        the plain one for one case at a time.
        """
        p = self.params
        self.z = _ranks.share_of(p.share, p.batch)
        score = 1 - self.calibration_[np.arange(len(self.truth_)), self.truth_]
        self.threshold = _ranks.quantile_bound(score, p.batch, self.z, 1 - p.certainty)
        self.naive = _ranks.plain_bound(score, p.share)
        own = {
            s: _ranks.quantile_bound(score[self.sites_ == s], p.batch, self.z, 1 - p.certainty)
            for s in sorted(set(self.sites_) - {""})
        }
        self.own = {site: bound for site, bound in own.items() if np.isfinite(bound)}

    def sites_of(self, data: Dataset) -> np.ndarray:
        """Words [n], object: each row's site, or its value of `by`; "" where there is none.
        UserError for a column that is not there.
        """
        column = self.params.by or data.roles.get("domain", "")
        if not column:
            return np.full(len(data), "", dtype=object)
        if column not in data.table.columns:
            raise UserError(
                f"“by” = {column}: there is no such column (there are:"
                f" {', '.join(map(str, data.table.columns[:20]))})."
            )
        return (
            data.frame[column]
            .astype(object)
            .where(data.frame[column].notna(), "")
            .astype(str)
            .to_numpy(dtype=object)
        )

    def asked(self, model: Model, data: Dataset, run: Run) -> np.ndarray:
        """The earlier model's class probabilities of every row."""
        opened = open_model(model, str(run.where))
        return np.asarray(run.map(opened.predict, data))

    def codes(self, data: Dataset) -> np.ndarray:
        """int64 [n]: each row's label among the model's classes, -1 = none of them."""
        place = {c: i for i, c in enumerate(self.classes_)}
        return np.array(
            [place.get(data.classes[c], -1) if c >= 0 else -1 for c in data.labels], dtype=np.int64
        )

    # -- artifacts ---------------------------------------------------------------------------------
    def apply(self, data: Dataset, run: Run) -> Iterator[Artifact]:
        p, model = self.params, run.base(Model)
        prob = self.asked(model, data, run).astype(np.float64)
        sites = self.sites_of(data)
        sets = _sets(prob, np.array([self.own.get(s, self.threshold) for s in sites])[:, None])
        promise = self.promise(sites, data.groups is not None)
        yield Predictions(
            rows=data.rows,
            name="sets",
            prob=prob.astype(np.float32),
            classes=list(self.classes_),
            sets=sets,
            coverage=p.share,
            promise=promise,
        )
        yield Metrics.of(self.figures(data, prob, sets, run), data.rows)

    def promise(self, site: np.ndarray, patients: bool) -> str:
        """What the sets guarantee, in words, where each case comes from its `site` ("" = not known)
        and there are several cases of some `patients`.
        """
        p, sites = self.params, sorted(set(site) - {""})
        of = " of one site" if self.own else ""
        of += ", each of another patient" if patients else ""
        words = (
            f"In {p.certainty:.0%} of batches of {p.batch} new cases{of}, at least {p.share:.0%} of"
            " the sets hold the truth."
        )
        less = [s for s in sites if s not in self.own]
        less += ["cases whose site is not known"] if sites and (site == "").any() else []
        if sites and not self.own:
            words += (
                " That holds for batches of all sites mixed as they are here, not for batches of"
                " one site: none has enough calibration cases of its own."
            )
        elif less:
            words += (
                f" It does not hold for {', '.join(less)}: too few calibration cases there, so the"
                " sets follow all sites together."
            )
        if not np.isfinite(self.threshold):
            words += (
                " The calibration cases are too few for that promise, so every set holds every"
                " class."
            )
        return words

    def figures(self, data: Dataset, prob: np.ndarray, sets: np.ndarray, run: Run) -> list[Metric]:
        """Coverage and size of the sets on test, beside plain conformal ones; and each group's
        share of each class with its bounds.
        """
        y, test, sites = self.codes(data), data.splits == "test", self.sites_of(data)
        at, one_each = np.flatnonzero(test & (y >= 0)), np.flatnonzero(test)
        one_each = one_each[_one_a_patient(data.take(one_each), run.seed)]
        found = [
            Metric(
                "calibration cases",
                float(len(self.truth_)),
                n=len(self.truth_),
                higher_is_better=None,
                split="val",
            )
        ]
        if len(at) >= 5:
            groups = data.groups[at] if data.groups is not None else None
            few = (
                ""
                if np.isfinite(self.naive)
                else (
                    f"{len(self.truth_)} calibration cases are too few for single sets at"
                    f" {self.params.share:.0%}: every class is in the set"
                )
            )
            for name, own, note in (
                ("batch sets", sets, ""),
                ("one-by-one sets", _sets(prob, self.naive), few),
            ):
                found += self.coverage(name, own[at], y[at], sites[at], groups, note, run)
        for group, rows in self.batches(sites, one_each):
            run.check()
            found += self.shares(group, prob[rows], run)
        return found

    def coverage(
        self,
        name: str,
        sets: np.ndarray,
        y: np.ndarray,
        sites: np.ndarray,
        groups: np.ndarray | None,
        note: str,
        run: Run,
    ) -> list[Metric]:
        """How often `sets` [n,k] of test cases hold the truth `y` [n], how large they are, and how
        many drawn batches keep the promised share; of each calibrated site as well.
        """
        from core.stats.bootstrap import mean_interval, units

        n, m = len(y), self.params.batch
        hit, size = np.asarray(sets[np.arange(n), y], bool), sets.sum(1).astype(float)
        held = Metric(
            f"{name}: share that hold the truth", float(hit.mean()), split="test", n=n, note=note
        )
        wide = Metric(
            f"{name}: classes in a set",
            float(size.mean()),
            split="test",
            n=n,
            higher_is_better=False,
            note=note,
        )
        found = [
            held.within(mean_interval(hit, groups)),
            wide.within(mean_interval(size, groups, (0, sets.shape[1]))),
        ]
        unit = units(n, groups)
        drawn = f"500 draws of {m} test cases" + (f" of {m} patients" if groups is not None else "")
        one_site = ", each of one site" if self.own else ""
        pools = [np.flatnonzero(sites == s) for s in self.own] or [np.arange(n)]
        found.append(
            Metric(
                f"{name}: batches with the promised share",
                self.kept(hit, pools, unit, run),
                split="test",
                n=n,
                note="; ".join(filter(None, [drawn + one_site, note])),
            )
        )
        if name == "batch sets":
            for site, pool in zip(self.own, pools):
                if len(np.unique(unit[pool])) >= m:
                    found.append(
                        Metric(
                            f"{name}: batches with the promised share",
                            self.kept(hit, [pool], unit, run),
                            split="test",
                            group=site,
                            n=len(pool),
                            note=drawn,
                        )
                    )
        return found

    def kept(
        self, hit: np.ndarray, pools: list[np.ndarray], unit: np.ndarray, run: Run
    ) -> float | None:
        """The share of drawn batches in which at least the promised share of sets hold the truth. A
        batch comes from one of `pools` (positions), the larger the oftener, one case of each of its
        patients `unit`, as calibration is; None where none holds as many patients as a batch.
        """
        m = self.params.batch
        pools = [pool for pool in pools if len(np.unique(unit[pool])) >= m]
        if not pools:
            return None
        size = np.array([len(pool) for pool in pools], float)
        of = run.rng.choice(len(pools), 500, p=size / size.sum())
        drawn = []
        for j in of:
            order = run.rng.permutation(pools[j])
            first = np.unique(unit[order], return_index=True)[1]
            drawn.append(hit[order[run.rng.permutation(first)[:m]]].sum())
        return float((np.array(drawn) >= self.z).mean())

    def batches(self, sites: np.ndarray, at: np.ndarray) -> list[tuple[str, np.ndarray]]:
        """(name, positions) of groups of the test cases `at`, one of each patient, cut to the batch
        size; a group of fewer cases is a smaller batch.
        """
        m = self.params.batch
        names = sorted(set(sites) - {""})
        if not names:
            return [
                (f"test cases {i + 1} to {min(i + m, len(at))}", at[i : i + m])
                for i in range(0, min(len(at), 5 * m), m)
            ]
        return [(name, own[:m]) for name in names[:20] if len(own := at[sites[at] == name])]

    def shares(self, group: str, prob: np.ndarray, run: Run) -> list[Metric]:
        """For one batch: the share of each class with bounds that hold for all batches alike, and
        the median certainty. A site is bounded by its own calibration cases; one of too few has
        shares without bounds.
        """
        own = (
            np.flatnonzero(self.sites_ == group)
            if (self.sites_ != "").any()
            else np.arange(len(self.truth_))
        )
        if len(own) < LEAST:
            why = f"no bounds: only {len(own)} calibration cases there"
            return [
                Metric(
                    f"share of {name}",
                    float(prob[:, c].mean()),
                    None,
                    None,
                    "test",
                    group,
                    len(prob),
                    None,
                    why,
                )
                for c, name in enumerate(self.classes_ if len(self.classes_) <= 4 else [])
            ]
        m, alpha = len(prob), 1 - self.params.certainty
        some = own if len(own) <= MOST else run.rng.choice(own, MOST, replace=False)
        found = []
        for c in range(len(self.classes_) if len(self.classes_) <= 4 else 0):
            left = (self.truth_[some] == c) - self.calibration_[some, c]
            bound = (
                _ranks.stair_bound
                if self.params.bound == "counts above ranks"
                else _ranks.mean_bound
            )
            high, low = bound(left, m, alpha / 2, 1.0), -bound(-left, m, alpha / 2, 1.0)
            mean = float(prob[:, c].mean())
            found.append(
                Metric(
                    f"share of {self.classes_[c]}",
                    mean,
                    max(0.0, mean + low),
                    min(1.0, mean + high),
                    "test",
                    group,
                    m,
                    None,
                    f"bounds hold in {self.params.certainty:.0%} of batches",
                    "bound",
                )
            )
        half = _ranks.quantile_bound(
            1 - self.calibration_[own, self.truth_[own]], m, -(-m // 2), alpha
        )
        found.append(
            Metric(
                "median probability given to the truth, at least",
                1 - half if np.isfinite(half) else 0.0,
                split="test",
                group=group,
                n=m,
                note=f"holds in {self.params.certainty:.0%} of batches",
            )
        )
        return found

    @classmethod
    def upgrade(cls, state: dict[str, Any]) -> dict[str, Any]:
        sites = state.get("sites", [""] * len(state["truth"]))
        return state | {"sites": np.array(sites, dtype=object)}

    def restore(self, state: dict[str, Any]) -> None:
        super().restore(state)
        self.calibrate()


def _sets(prob: np.ndarray, threshold: np.ndarray | float) -> np.ndarray:
    """bool [n,k]: classes whose score 1 - p is at most the threshold, one for all or [n,1]; the
    likeliest one always.
    """
    sets = 1 - prob <= threshold
    sets[np.arange(len(prob)), prob.argmax(1)] = True
    return sets


def _one_a_patient(data: Dataset, seed: int) -> list[int]:
    """Positions of one case of each patient, drawn by `seed`; all where there is no patient
    column.
    """
    groups = data.groups
    if groups is None:
        return list(range(len(data)))
    order, seen, found = np.random.default_rng(seed).permutation(len(data)), set(), []
    for i in order:
        if groups[i] is None or groups[i] not in seen:
            seen.add(groups[i])
            found.append(int(i))
    return sorted(found)

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

from core.artifacts import Artifact, Benchmark, Grid, Metrics, Predictions
from core.errors import UserError
from core.io.tensors import take_prefix
from core.method import Method, Takes
from core.methods.protocols import _figures
from core.methods.protocols._models import Models, fit_pooled, measure_on_test, read_by_site
from core.methods.protocols._names import ORACLE, SOURCE, TARGET
from core.methods.protocols._params import SkadaBenchParams
from core.methods.protocols._shifts import (
    CLASS,
    large_sites,
    learning_rows,
    list_shifts,
    make_shift,
    sites_of,
)
from core.methods.protocols._tables import pick

if TYPE_CHECKING:
    from core.data.dataset import Dataset
    from core.methods.protocols._shifts import Shift
    from core.training.run import Run


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
    tiny = {"splits": 1, "inner": 1, "contestants": "CORAL"}
    presets = {
        "fast": {"splits": 1, "inner": 2},
        "standard": {},
        "thorough": {"splits": 5, "inner": 5, "grid": "full"},
    }

    def declines(self, data: Dataset) -> str | None:
        known = {str(d) for d in sites_of(data) if d is not None}
        return None if len(known) >= 2 else f"Needs at least two sites; this data has {len(known)}."

    def passes(self, n: int) -> float:
        settings = 15 if self.params.grid == "small" else 30
        return float(n * self.params.splits * (self.params.inner + 1) * settings * 10)

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
        from core.methods.protocols._contest import run_settings

        p, self.class_names_, learn = self.params, list(data.classes), learning_rows(data)
        site = np.array([str(d) for d in sites_of(learn)])
        sites, self.left_out_ = large_sites(site)
        x, self.contestants_ = learn.inputs().astype(np.float64), self.names()
        self.cells_: list[dict[str, Any]] = []
        self.models_: Models = {}
        self.chosen_: dict[str, str] = {}
        shifts = list_shifts(sites, p.shifts == "pairs", p.splits)
        for done, (sources, target, k) in enumerate(shifts):
            run.report_to(done, len(shifts), {})
            shift = make_shift(
                x, learn.labels, site, learn.groups, sources, target, k, p.inner, run.seed
            )
            if shift is None:
                self.left_out_.append(
                    f"{' + '.join(sources)} as a source (fewer than two classes of {CLASS} rows)"
                )
                continue
            reader, cells = run_settings(shift, self.contestants_, p.grid, run)
            if k < 0:
                self._choose(target, cells, reader, shift)
                continue
            task = f"{sources[0] if p.shifts == 'pairs' else 'the others'} → {target}"
            self.cells_ += [cell | {"task": task, "split": k} for cell in cells]
        if not self.cells_ or not self.models_:
            raise UserError(
                f"No site has two classes with at least {CLASS} labelled learning rows each, so"
                " there is nothing to carry over."
            )
        self.left_out_ = list(dict.fromkeys(self.left_out_))
        self.models_["/pooled"] = fit_pooled(x, learn.labels, run.seed)

    def names(self) -> list[str]:
        """Return the contestants asked for, between the plain model and the upper bound. UserError
        for one that is not there.
        """
        from core.methods.protocols._contestants import CONTESTANTS

        asked = [w.strip() for w in self.params.contestants.split(",") if w.strip()]
        unknown = [w for w in asked if w not in CONTESTANTS]
        if unknown:
            raise UserError(
                f"“contestants”: there is no {' and no '.join(f'“{w}”' for w in unknown)} (there"
                f" are: {', '.join(CONTESTANTS)})."
            )
        return [n for n in CONTESTANTS if not asked or n in asked or n in (SOURCE, TARGET)]

    def _choose(
        self, target: str, cells: list[dict[str, Any]], reader: dict[str, Any], shift: Shift
    ) -> None:
        """Fit the contestant that the scorer picks for the site `target`, and the plain model, on
        all rows of the shift. UserError where it could value none.
        """
        from core.methods.protocols._contest import fit_final

        scorer = self.params.scorer
        picked = pick([c for c in cells if c["contestant"] != TARGET], scorer)
        if picked is None:
            raise UserError(
                f"The scorer “{scorer}” could value no contestant for {target}; choose"
                " another scorer."
            )
        plain = next(c for c in cells if c["contestant"] == SOURCE)
        self.chosen_[target] = picked["contestant"]
        self.models_[f"{target}/chosen"] = fit_final(picked, reader, shift)
        self.models_[f"{target}/plain"] = fit_final(plain, reader, shift)

    # -- artifacts ---------------------------------------------------------------------------------
    def apply(self, data: Dataset, run: Run) -> Iterator[Artifact]:
        p, about = self.params, (self.cells_, self.contestants_)
        for name, scorer in (
            ("chosen-without-labels", p.scorer),
            ("settings-by-target-labels", ORACLE),
        ):
            yield _figures.draw_benchmark(
                *about, scorer, p.measure, data.rows, name, choices=scorer == p.scorer
            )
        yield _figures.draw_choices(*about, p.measure, data.rows)
        prob = read_by_site(self.models_, data, "chosen", len(self.class_names_))
        yield Predictions(rows=data.rows, prob=prob, classes=list(self.class_names_))
        found = measure_on_test(self.models_, data, prob)
        found += _figures.measure_contest(*about, p.scorer, p.measure)
        found += _figures.tell_choices(self.chosen_, self.left_out_)
        yield Metrics.of(found, data.rows)

    @classmethod
    def upgrade(cls, state: dict[str, Any]) -> dict[str, Any]:
        kept = {k: v for k, v in state.items() if not k.startswith("model.")}
        return kept | {
            "models": {name: take_prefix(f"model.{name}", state) for name in state["models"]}
        }

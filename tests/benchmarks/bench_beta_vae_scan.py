"""beta-VAE with SCAN on heart beats: premature beats of record 100, noise, and what an axis
carries: `python -m tests.benchmarks.bench_beta_vae_scan`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from scipy.ndimage import uniform_filter1d
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from core.data.dataset import Dataset
from core.data.readers import read
from core.data.readers.signal_parts import split_in_time
from core.data.samples.catalogue import make_sample
from core.evidence import shared_data, store_evidence
from core.methods.series._figures import balanced_accuracy, window_means
from core.stats.bootstrap import interval, mean_interval
from tests.benchmarks._common import latent, over_seeds, row, run, table, verdict

# the stretches for testing do not overlap: nine tenths of the record are tested on
TURNS = (0.0, 0.15, 0.3, 0.45, 0.6, 0.75)
SEEDS = [0, 1, 2]
EPOCHS = 30


def turned(data: Dataset, turn: float) -> Dataset:
    """The record with other minutes held out."""
    part = split_in_time(data.frame["time"].to_numpy(), data.column("label"), turn=turn)
    keep = part != ""
    samples = np.asarray(data.samples[:])[keep]
    return replace(
        data, table=data.table.assign(part=part)[keep].reset_index(drop=True), samples=samples
    )


def redrawn(fitted: Any, x: np.ndarray) -> np.ndarray:
    import torch

    with torch.no_grad():
        return fitted.decode(fitted.embed(torch.from_numpy(x.astype("f4")))).numpy()


def premature(record: Dataset) -> list[dict[str, Any]]:
    """A against N on minutes that were held out, all turns together; and the redrawing of noisy
    beats of the last turn.
    """
    said: dict[str, list[np.ndarray]] = {}
    truth = []
    for turn in TURNS:
        data = turned(record, turn)
        # the one V is no class to learn
        data = data.take(np.flatnonzero(np.isin(data.column("label"), ["A", "N"])))
        data = replace(data, table=data.frame.reset_index(drop=True), samples=data.raw(), at=None)
        train, test, y = data.splits == "train", data.splits == "test", data.labels
        fitted, given = run("beta_vae_scan", data, {"epochs": EPOCHS})
        _, raw = run("beta_vae_scan", data, {"epochs": 1, "learning_rate": 1e-9, "shuffles": 0})
        mixed = replace(
            data,
            table=data.table.assign(
                beat=np.where(
                    train,
                    np.random.default_rng(0).permutation(data.table["beat"]),
                    data.table["beat"],
                )
            ),
        )
        _, shuffled = run("beta_vae_scan", mixed, {"epochs": EPOCHS})
        z, x = latent(given).z, data.inputs()
        pca = PCA(z.shape[1], random_state=0).fit(x[train].reshape(train.sum(), -1))
        probe = lambda: LogisticRegression(class_weight="balanced", max_iter=2000)  # noqa: E731
        rivals = {
            "latent + logistic regression": (z, probe()),
            "latent + LDA": (z, LinearDiscriminantAnalysis(priors=[0.5, 0.5])),
            "latent + 5 nearest": (z, KNeighborsClassifier(5)),
            "latent + SVM": (z, SVC(class_weight="balanced")),
            "window means + logistic regression": (window_means(x), probe()),
            "window means + SVM": (window_means(x), SVC(class_weight="balanced")),
            "principal components + logistic regression": (
                pca.transform(x.reshape(len(x), -1)),
                probe(),
            ),
            "untrained copy + logistic regression": (latent(raw).z, probe()),
            "time since the beat before (one number)": (
                data.frame["rr_before_s"].fillna(0.8).to_numpy()[:, None],
                probe(),
            ),
        }
        said.setdefault("symbols (SCAN)", []).append(given["predictions"].prob.argmax(1)[test])
        for name, (features, reader) in rivals.items():
            said.setdefault(name, []).append(
                make_pipeline(StandardScaler(), reader)
                .fit(features[train], y[train])
                .predict(features[test])
            )
        said.setdefault("symbols, labels shuffled", []).append(
            shuffled["predictions"].prob.argmax(1)[test]
        )
        truth.append(y[test])
    answer, right = {k: np.concatenate(v) for k, v in said.items()}, np.concatenate(truth)
    rows = []
    for name, one in answer.items():
        score = lambda i, one=one: balanced_accuracy(one[i], right[i])  # noqa: E731
        rows.append(
            row(
                name,
                (score(np.arange(len(right))), *interval(score, len(right), within=(0, 1)).bounds),
            )
        )
    words = (
        verdict(rows)
        + f" {int((right == 0).sum())} atrial premature beats of one patient; of them the symbols"
        f" find {np.mean(answer['symbols (SCAN)'][right == 0] == 0):.0%}."
    )
    name = "MIT-BIH record 100 (PhysioNet)"
    found = [
        table(
            "Telling atrial premature from normal beats on held-out minutes",
            name,
            "test, six turns of the split",
            len(right),
            [0],
            "balanced accuracy (chance 0.50)",
            rows,
            words,
        )
    ]
    return [
        *found,
        denoised("Taking known noise off real beats", name, data, fitted, pca, x[test], 0.1),
    ]


def denoised(
    title: str, name: str, data: Dataset, fitted: Any, pca: PCA, clean: np.ndarray, noise: float
) -> dict[str, Any]:
    """Error against the beats before noise was added."""
    noisy = clean + np.random.default_rng(0).normal(0, noise, clean.shape)
    made = {
        "beta-VAE": redrawn(fitted, noisy),
        f"principal components ({pca.n_components_})": (
            pca.inverse_transform(pca.transform(noisy.reshape(len(noisy), -1))).reshape(noisy.shape)
        ),
        "moving average of 5 samples": uniform_filter1d(noisy, 5, axis=2),
        "nothing done": noisy,
    }
    rows = []
    for words, back in made.items():
        each = np.square(back - clean).mean((1, 2)) * 1e3
        rows.append(
            row(words, (float(each.mean()), *mean_interval(each, within=(0, np.inf)).bounds))
        )
    return table(
        title,
        name,
        "test",
        len(clean),
        [0],
        f"squared error, 0.001 mV² (noise of {noise} mV added)",
        rows,
        verdict(rows, False),
        False,
    )


def width(x: np.ndarray) -> np.ndarray:
    """Time in ms that lead 1 stands above half of its peak: [n,2,128] -> [n]."""
    return (x[:, 0] > 0.5 * x[:, 0].max(1, keepdims=True)).sum(1) * 1000 / 180


def generated() -> list[dict[str, Any]]:
    """Normal beats put to where the symbol V has an axis: are they as wide then as V beats are? And
    noise, with the truth known from the mean of kind and record.
    """
    import torch

    firmest, every, others, component, untaught = [], [], [], [], []
    for seed in SEEDS:
        data = make_sample("beats")
        fitted, given = run("beta_vae_scan", data, {"epochs": 90}, seed)
        test, train, kinds = data.splits == "test", data.splits == "train", data.column("label")
        x, z = data.inputs(), latent(given).z
        normal, far = (
            test & (kinds == "N"),
            width(x[test & (kinds == "V")]).mean() - width(x[test & (kinds == "N")]).mean(),
        )

        def share(
            method: Any, axes: list[int], to: np.ndarray, start: np.ndarray, far: float = far
        ) -> float:
            """Share of the true difference of widths that putting `axes` of normal beats to `to`
            makes.
            """
            moved = start.copy()
            moved[:, axes] = to[axes]
            with torch.no_grad():
                before, after = (
                    method.decode(torch.from_numpy(v.astype("f4"))).numpy() for v in (start, moved)
                )
            return float((width(after) - width(before)).mean() / far)

        mu, _, fixed = fitted.imagine(["V"])
        best = int(fitted.nats_[fitted.symbols_.index("V")].argmax())
        firmest.append(share(fitted, [best], mu, z[normal]))
        every.append(share(fitted, np.flatnonzero(fixed).tolist(), mu, z[normal]))
        others.append(share(fitted, np.flatnonzero(~fixed).tolist(), mu, z[normal]))
        mixed = replace(
            data,
            table=data.table.assign(
                beat=np.random.default_rng(seed).permutation(data.table["beat"])
            ),
        )
        other, blind = run("beta_vae_scan", mixed, {"epochs": 90}, seed)
        untaught.append(
            share(other, list(range(8)), other.imagine(["V"])[0], latent(blind).z[normal])
        )
        pca = PCA(8, random_state=0).fit(x[train].reshape(train.sum(), -1))
        linear, given = run("pca", data, {"dimensions": 8}, seed)
        p, v = latent(given).z, kinds == "V"
        apart = np.abs(p[train & v].mean(0) - p[train & ~v].mean(0)) / p[train].std(0)
        component.append(share(linear, [int(apart.argmax())], p[train & v].mean(0), p[normal]))
    rows = [
        row("all axes that “V” fixes", over_seeds(every)),
        row("the axis it fixes firmest, alone", over_seeds(firmest)),
        row("the axes it leaves free", over_seeds(others)),
        row("the principal component that parts V best", over_seeds(component)),
        row("all axes, symbols shuffled", over_seeds(untaught)),
    ]
    words = (
        f"Putting the axes that “V” fixes where it has them makes {np.mean(every):.0%} of the true"
        f" widening, the axes it leaves free {max(0.0, np.mean(others)):.0%}."
    )
    found = [
        table(
            "From symbol to signal: normal generated beats made into V beats",
            "generated beats",
            "test",
            int(normal.sum()),
            SEEDS,
            "share of the true widening of the beat (1 = all of it), range over seeds",
            rows,
            words,
        )
    ]
    kind, record = data.column("label"), data.column("group")
    clean = np.stack(
        [
            x[test & (record == r) & (kind == k)].mean(0)
            for r in sorted(set(record[test]))
            for k in "ANV"
        ]
    ).repeat(20, 0)
    return [
        *found,
        denoised(
            "Taking known noise off generated beats",
            "generated beats",
            data,
            fitted,
            pca,
            clean,
            0.1,
        ),
    ]


def tables() -> list[dict[str, Any]]:
    real = (
        premature(read(shared_data() / "physionet_ecg_samples"))
        if shared_data() is not None
        else []
    )
    return [*real, *generated()]


if __name__ == "__main__":
    store_evidence("beta_vae_scan", tables())

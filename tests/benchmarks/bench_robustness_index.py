"""The robustness index of real embeddings, before and after taking the site away: `python -m
tests.benchmarks.bench_robustness_index`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from core.artifacts import Embedding
from core.data.dataset import Dataset
from core.data.samples.catalogue import make_sample
from core.evidence import shared_data, store_evidence
from core.measures.robustness_index import RobustnessIndex
from tests.benchmarks._common import heart, latent, row, run, table


def figures(data: Dataset, z: np.ndarray) -> dict[str, Any]:
    found = RobustnessIndex().compute(
        data, Embedding(rows=data.rows, z=z.astype("f4")), rng=np.random.default_rng(0)
    )
    return {m.name: m for m in found if m.group == "all"}


def centred(data: Dataset, z: np.ndarray) -> np.ndarray:
    """Each site's mean and spread brought to the same, with the statistics of its training rows."""
    out, train = z.copy(), data.splits == "train"
    for s in set(data.domains):
        own = data.domains == s
        some = z[own & train] if (own & train).sum() > 2 else z[own]
        out[own] = (z[own] - some.mean(0)) / np.maximum(some.std(0), 1e-6)
    return out


def compare(
    name: str, data: Dataset, methods: dict[str, tuple[str, dict[str, Any]]]
) -> list[dict[str, Any]]:
    spaces = {
        words: np.asarray(latent(run(id, data, params)[1]).z, float)
        for words, (id, params) in methods.items()
    }
    first = next(iter(spaces))
    spaces |= {f"{first}, each site centred": centred(data, spaces[first])}
    rng = np.random.default_rng(0)
    spaces |= {
        "noise (control)": rng.normal(size=(len(data), 8)),
        "class alone (control)": (
            np.eye(len(data.classes))[data.labels]
            + 0.05 * rng.normal(size=(len(data), len(data.classes)))
        ),
    }
    sites = np.unique(data.domains.astype(str), return_inverse=True)[1]
    spaces["site alone (control)"] = np.eye(sites.max() + 1)[sites] + 0.05 * rng.normal(
        size=(len(data), sites.max() + 1)
    )
    index, probe = [], []
    for words, z in spaces.items():
        got = figures(data, z)
        m, p = got["robustness index"], got["site named by a linear probe: accuracy"]
        index.append(row(words, (m.value, m.low, m.high)))
        probe.append(row(words, (p.value, p.low, p.high)))
    chance = figures(data, spaces["noise (control)"])["robustness index"].note.partition(
        "chance gives "
    )[2][:4]
    words = (
        f"Chance gives {chance}; {first} has {index[0]['value']:.2f}, with each site centred"
        f" {index[len(methods)]['value']:.2f}. A probe names the site in {probe[0]['value']:.0%} of"
        " held-out cases."
    )
    return [
        table(
            f"Biology or hospital: {name}",
            name,
            "all",
            len(data),
            [0],
            "robustness index (1 = biology, 0 = site)",
            index,
            words,
        ),
        table(
            f"Naming the site: {name}",
            name,
            "val and test",
            int((data.splits != "train").sum()),
            [0],
            "accuracy of a linear probe",
            probe,
            words,
            False,
        ),
    ]


def tables() -> list[dict[str, Any]]:
    found = compare(
        "digits of two made-up scanners",
        make_sample("two-sites"),
        {
            "PCA 16-d": ("pca", {"dimensions": 16}),
            "autoencoder": ("gaussian_vae", {"epochs": 10, "classifier": False}),
            "SwAV": ("swav", {"epochs": 10}),
        },
    )
    found += compare(
        "head phantom of two made-up scanners, lesion or none",
        make_sample("head-phantom"),
        {
            "PCA 16-d": ("pca", {"dimensions": 16}),
            "autoencoder": ("gaussian_vae", {"epochs": 10, "classifier": False}),
        },
    )
    if shared_data():
        found += compare(
            "heart disease, four sites (UCI)",
            heart(),
            {
                "PCA 8-d": ("pca", {"dimensions": 8}),
                "autoencoder": ("gaussian_vae", {"epochs": 30, "latent": 8, "classifier": False}),
                "classifier": ("classifier", {"epochs": 20}),
            },
        )
    return found


if __name__ == "__main__":
    store_evidence("robustness_index", tables())

"""Novel class discovery in tables: given rows of known classes and rows of none, finds how many new
groups the latter form and which row is in which.

Objective
    w CE(known rows) + (1 - w) |x - x'|^2 (sum over columns, mean over all rows) on a unit-length
    latent; then k-means on the novel rows' latents, k by the best mean silhouette over 2..most.

Cost
    Seconds for thousands of rows; tuning w trains once for every weight and every hidden fold of
    known classes.

Differences from the paper
    w alone is tuned, on a grid of five, by hiding random halves of the known classes and clustering
    them; latent size and dropout are parameters. Columns are scaled by their range. k is estimated
    on the scaled columns: on development splits of digits the latent space, which the paper uses,
    split classes into sub-kinds (6, 9, 8, 2 groups for 5; the columns gave 5, 5, 8, 5). Clustering
    uses the same unit-length latents as training (the released prediction code does not). With one
    known class there is nothing to classify and nothing to hide: w is then 0 and the method is an
    autoencoder with k-means, and says so in its log.

Reference
    Troisemaine, Reiffers-Masson, Gosselin, Lemaire, Vaton, A practical approach to novel class
    discovery in tabular data, DMKD 2024.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from core.artifacts import Artifact, Clusters, Embedding, Model, Predictions
from core.data.scaling import Standardise
from core.errors import UserError
from core.method import DemoRun, Method, Takes
from core.params import TrainingParams, batch_param, epochs_param, param, rate_param

if TYPE_CHECKING:
    import torch

    from core.data.dataset import Dataset
    from core.training.run import Batch, Run

WEIGHTS = (0.05, 0.2, 0.4, 0.6, 0.8)
FOLDS = 4  # times half of the known classes are hidden to choose the weight


class TabularNCD(Method):
    id = "tabular_ncd"
    title = "Novel class discovery in a table"
    seed_number = 9
    net_: Any  # the network; Any, since torch types a module's parts as Tensor | Module
    takes = Takes(("table",), labels="needed", min_rows=30, seconds_per_value=2e-6)
    gives = (Model, Embedding, Clusters, Predictions)
    tiny = {"epochs": 3, "latent": 4, "tune": False, "most": 4, "batch_size": 32}
    presets = {
        "fast": {"epochs": 60, "tune": False},
        "standard": {"epochs": 100, "tune": True},
        "thorough": {"epochs": 200, "tune": True},
    }
    demo = (DemoRun("breast-cancer", 7, "fast", {"novel": "malignant"}),)

    class Params(TrainingParams):
        epochs: int = epochs_param(100, "Passes over all rows.")
        batch_size: int = batch_param(128, "Rows per step.")
        learning_rate: float = rate_param(3e-3, "Step size of AdamW.")
        novel: str = param(
            "",
            "Classes whose labels are hidden, separated by commas; rows without a label are novel"
            " as well. Empty: the rarest class is hidden.",
        )
        groups: int = param(0, "Number of novel groups; 0 estimates it.", ge=0, le=200)
        most: int = param(
            15, "Largest number of novel groups considered.", ge=2, le=100, advanced=True
        )
        tune: bool = param(True, "Choose the classifier's weight by hiding known classes in turn.")
        weight: float = param(
            0.2,
            "Weight of the classifier when it is not tuned, w in the paper.",
            ge=0,
            le=1,
            advanced=True,
        )
        latent: int = param(16, "Latent dimensions.", ge=2, le=512)
        dropout: float = param(
            0.1, "Share of units left out while training.", ge=0, le=0.9, advanced=True
        )

    def hidden(self, data: Dataset) -> np.ndarray:
        """Class codes whose labels are not used. UserError for a name that is no class, or when
        nothing known is left.
        """
        names = [n.strip() for n in self.params.novel.split(",") if n.strip()]
        wrong = [n for n in names if n not in data.classes]
        if wrong:
            raise UserError(
                f"“novel” = {wrong[0]}: there is no such class (there are:"
                f" {', '.join(data.classes[:20])})."
            )
        unlabelled = bool((data.part("train").labels < 0).any())
        if not names and not unlabelled:
            count = np.bincount(data.part("train").labels, minlength=len(data.classes))
            names = [data.classes[int(count.argmin())]]
        codes = np.array([data.classes.index(n) for n in names], dtype=int)
        if len(codes) >= len(data.classes):
            raise UserError("“novel” names every class; at least one must stay known.")
        return codes

    # -- training ----------------------------------------------------------------------------------
    def fit(self, data: Dataset, run: Run) -> None:
        import torch

        p, train = self.params, data.part("train")
        hidden = self.hidden(data)
        known = [j for j in range(len(data.classes)) if j not in hidden]
        self.class_names_, self.features_ = [data.classes[j] for j in known], data.shape[0]
        self.scale_ = Standardise.fit(train, by="range")
        code = np.full(len(data.classes) + 1, -1)
        code[known] = np.arange(len(known))
        label = code[train.labels]
        if (label < 0).sum() < 4:
            raise UserError(
                "There are fewer than 4 rows to discover anything in; leave some rows unlabelled or"
                " name classes in “novel”."
            )
        x = self.scale_(torch.from_numpy(train.inputs())).numpy()
        self.weight_ = p.weight if len(known) > 1 else 0.0
        self.validation_: list[dict[str, float]] = []
        if p.tune and len(known) >= 3:
            self.weight_, self.validation_ = self._tuned(x, label, run)
        self.net_ = self.make_net()

        def loss(net: Any, batch: Batch) -> dict[str, torch.Tensor]:
            return _loss(net(batch.x), batch.x, batch.y, self.weight_)

        optimiser = torch.optim.AdamW(self.net_.parameters(), p.learning_rate)
        ready = train.with_samples(x).with_labels(label)
        run.fit(self.net_, loss, ready, p, optimiser=optimiser, of=train)
        self.net_.eval()
        with torch.no_grad():
            z = self.net_.embed(torch.from_numpy(x).to(run.where)).cpu().numpy()
        k, self.curve_ = (p.groups, {}) if p.groups else estimated_k(x[label < 0], p.most, run)
        self.centres_ = _kmeans(z[label < 0], k, run.seed)

    def make_net(self) -> Any:
        return self._net(len(self.class_names_))

    def _net(self, classes: int) -> Any:
        from core.nets.pbn import PBN

        return PBN(
            self.features_, self.params.latent, classes if classes > 1 else 0, self.params.dropout
        )

    def _tuned(
        self, x: np.ndarray, label: np.ndarray, run: Run
    ) -> tuple[float, list[dict[str, float]]]:
        """The weight with the best mean clustering accuracy of known classes hidden in turn; labels
        of novel classes are never seen.
        """
        from core.stats.cluster_agreement import accuracy

        known = np.unique(label[label >= 0])
        folds = [run.rng.permutation(known)[: max(1, len(known) // 2)] for _ in range(FOLDS)]
        table = []
        for w in WEIGHTS:
            scores = []
            for fold in folds:
                run.check()
                inside = np.where(np.isin(label, fold), -1, label)
                rows = label >= 0
                z = self._quick(x[rows], inside[rows], w, run)
                held = np.isin(label[rows], fold)
                centres = _kmeans(z[held], max(2, len(fold)), run.seed)
                scores.append(accuracy(_nearest(z[held], centres), label[rows][held]))
            table.append({"weight": w, "accuracy on hidden known classes": float(np.mean(scores))})
        return (
            float(max(table, key=lambda t: t["accuracy on hidden known classes"])["weight"]),
            table,
        )

    def _quick(self, x: np.ndarray, label: np.ndarray, weight: float, run: Run) -> np.ndarray:
        """Latents of a network trained for half the epochs on these rows (label -1 = hidden)."""
        import torch

        codes = np.unique(label[label >= 0])
        y = torch.from_numpy(np.where(label >= 0, np.searchsorted(codes, label), -1))
        net, data = self._net(len(codes)), torch.from_numpy(x)
        optimiser = torch.optim.AdamW(net.parameters(), self.params.learning_rate)
        size = min(self.params.batch_size, len(x))
        for _ in range(max(1, self.params.epochs // 2)):
            run.check()
            order = torch.from_numpy(run.rng.permutation(len(x)))
            for i in range(0, len(x) - size + 1, size):
                at = order[i : i + size]
                loss = _loss(net(data[at]), data[at], y[at], weight)["loss"]
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
        net.eval()
        with torch.no_grad():
            return net.embed(data).numpy()

    # -- artifacts ---------------------------------------------------------------------------------
    def apply(self, data: Dataset, run: Run) -> Iterator[Artifact]:
        z = run.map(self.embed, data)
        yield Embedding(rows=data.rows, name="latent", z=z, metric="cosine")
        code = {
            data.classes.index(c): j for j, c in enumerate(self.class_names_) if c in data.classes
        }
        novel = np.array([c not in code for c in data.labels])
        label = np.array([code.get(int(c), 0) for c in data.labels])
        label[novel] = len(self.class_names_) + _nearest(z[novel], self.centres_)
        names = [*self.class_names_, *(f"novel group {j + 1}" for j in range(len(self.centres_)))]
        known = [True] * len(self.class_names_) + [False] * len(self.centres_)
        yield Clusters(
            rows=data.rows,
            name="groups",
            label=label.astype(np.int64),
            names=names,
            known=known,
            curve=self.curve_,
        )
        if self.able("predict"):
            yield Predictions(
                rows=data.rows,
                name="known",
                prob=run.map(self.predict, data),
                classes=list(self.class_names_),
            )

    def able(self, ability: str) -> bool:
        return ability != "predict" or len(self.class_names_) > 1

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        return self.net_.embed(self.scale_(x))

    def predict(self, x: torch.Tensor) -> torch.Tensor:
        """Probabilities of the known classes, for any row."""
        return self.net_.classifier(self.embed(x)).softmax(1)


def _loss(out: Any, x: torch.Tensor, y: torch.Tensor, weight: float) -> dict[str, torch.Tensor]:
    """The `loss`, and the parts it consists of."""
    from torch.nn import functional as F

    reconstruction = (out[1] - x).square().sum(1).mean()
    loss, parts, known = (1 - weight) * reconstruction, {"reconstruction": reconstruction}, y >= 0
    if out[2] is not None:
        wrong = F.cross_entropy(out[2][known], y[known]) if known.any() else out[2].sum() * 0
        loss, parts = loss + weight * wrong, parts | {"classifier": wrong}
    return {"loss": loss} | parts


def _kmeans(z: np.ndarray, k: int, seed: int) -> np.ndarray:
    from sklearn.cluster import KMeans

    return (
        KMeans(min(k, len(z)), n_init=10, random_state=seed)
        .fit(z)
        .cluster_centers_.astype(np.float32)
    )


def _nearest(z: np.ndarray, centres: np.ndarray) -> np.ndarray:
    return np.square(z[:, None] - centres[None]).sum(-1).argmin(1) if len(z) else np.zeros(0, int)


def estimated_k(x: np.ndarray, most: int, run: Run) -> tuple[int, dict[str, list[float]]]:
    """The k in 2..most with the best mean silhouette of k-means over five draws of 80 % of at most
    2,000 rows, and the curve.
    """
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score

    x = x if len(x) <= 2000 else x[run.rng.choice(len(x), 2000, replace=False)]
    ks = list(range(2, min(most, len(x) - 1) + 1))
    draws = [run.rng.choice(len(x), max(3, int(0.8 * len(x))), replace=False) for _ in range(5)]
    scores = np.zeros((len(ks), len(draws)))
    for i, k in enumerate(ks):
        run.check()
        for j, draw in enumerate(draws):
            part = x[draw]
            label = KMeans(min(k, len(part)), n_init=4, random_state=run.seed + j).fit_predict(part)
            if 1 < len(np.unique(label)) < len(part):
                scores[i, j] = silhouette_score(part, label)
    mean = scores.mean(1)
    return ks[int(mean.argmax())], {"k": [float(k) for k in ks], "silhouette": mean.tolist()}

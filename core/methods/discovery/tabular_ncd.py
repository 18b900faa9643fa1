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

from core.artifacts import Artifact, Clusters, Embedding, Model, Predictions
from core.data.labels import codes_among
from core.data.scaling import Standardise
from core.method import DemoRun, Method, Takes
from core.methods.discovery._groups import estimate_k, fit_centres, nearest_centre
from core.methods.discovery._params import TabularNCDParams

if TYPE_CHECKING:
    import torch

    from core.data.dataset import Dataset
    from core.training.run import Batch, Run


class TabularNCD(Method):
    id = "tabular_ncd"
    title = "Novel class discovery in a table"
    seed_number = 9
    net_: Any  # the network; Any, since torch types a module's parts as Tensor | Module
    takes = Takes(("table",), labels="needed", min_rows=30, seconds_per_value=2e-6)
    gives = (Model, Embedding, Clusters, Predictions)
    shares_batches = True
    Params = TabularNCDParams
    latent_param = "latent"
    tiny = {"epochs": 3, "latent": 4, "tune": False, "most": 4, "batch_size": 32}
    presets = {
        "fast": {"epochs": 60, "tune": False},
        "standard": {"epochs": 100, "tune": True},
        "thorough": {"epochs": 200, "tune": True},
    }
    demo = (DemoRun("breast-cancer", 7, "fast", {"novel": "malignant"}),)

    def fit(self, data: Dataset, run: Run) -> None:
        import torch

        from core.methods.discovery._known import choose_weight, label_known
        from core.nets.pbn import discovery_loss

        p, train = self.params, data.part("train")
        self.class_names_, label = label_known(data, p.novel)
        self.features_, novel = data.shape[0], label < 0
        self.scale_ = Standardise.fit(train, by="range")
        x = self.scale_(torch.from_numpy(train.inputs())).numpy()
        k = len(self.class_names_)
        self.weight_, self.validation_ = choose_weight(x, label, k, self.make_net, p, run)
        self.net_ = self.make_net()

        def loss(net: Any, batch: Batch) -> dict[str, torch.Tensor]:
            return discovery_loss(net(batch.x), batch.x, batch.y, self.weight_)

        optimiser = torch.optim.AdamW(self.net_.parameters(), p.learning_rate)
        ready = train.with_samples(x).with_labels(label)
        run.fit(self.net_, loss, ready, p, optimiser=optimiser, of=train)
        self.net_.eval()
        with torch.no_grad():
            z = self.net_.embed(torch.from_numpy(x).to(run.where)).cpu().numpy()
        k, self.curve_ = (p.groups, {}) if p.groups else estimate_k(x[novel], p.most, run)
        self.centres_ = fit_centres(z[novel], k, run.seed)

    def make_net(self, classes: int | None = None) -> Any:
        """Return a new network for so many known classes (all); one alone needs no classifier."""
        from core.nets.pbn import PBN

        p, classes = self.params, len(self.class_names_) if classes is None else classes
        return PBN(self.features_, p.latent, classes if classes > 1 else 0, p.dropout)

    def apply(self, data: Dataset, run: Run) -> Iterator[Artifact]:
        z = run.map(self.embed, data)
        yield Embedding(rows=data.rows, name="latent", z=z, metric="cosine")
        names, k = self.class_names_, len(self.centres_)
        label = codes_among(data, names)
        novel = label < 0
        label[novel] = len(names) + nearest_centre(z[novel], self.centres_)
        yield Clusters(
            rows=data.rows,
            name="groups",
            label=label,
            names=[*names, *(f"novel group {j + 1}" for j in range(k))],
            known=[True] * len(names) + [False] * k,
            curve=self.curve_,
        )
        if self.able("predict"):
            prob = run.map(self.predict, data)
            yield Predictions(rows=data.rows, name="known", prob=prob, classes=list(names))

    def able(self, ability: str) -> bool:
        return ability != "predict" or len(self.class_names_) > 1

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        return self.net_.embed(self.scale_(x))

    def predict(self, x: torch.Tensor) -> torch.Tensor:
        """Probabilities of the known classes, for any row."""
        return self.net_.classifier(self.embed(x)).softmax(1)

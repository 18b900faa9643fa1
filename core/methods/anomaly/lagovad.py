"""LaGoVAD: how abnormal each frame of a film is, where what counts as abnormal is said in words
and may be said anew after training.

Objective
    For films put together of an abnormal part and normal ones, under a set of definitions, summed
    over two passes (class names; sentences): cross-entropy of the mean of the top 1/16 of a film's
    logits, of every frame's logit with the part's span, and of the top quarter within the span;
    cross-entropy over the definitions of each one's top 1/16 likenesses; InfoNCE between film and
    definition with the normal part of the film as a further negative. All weights are 1.

Cost
    About 60 ms of a processor a step of 16 films of up to 64 frames; fast preset 120 s of a
    processor. Another definition costs one pass of a film, some 10 ms.

Differences from the paper
    The paper's encoders of pictures and words are those of CLIP; they can be opened from a folder.
    Without it pictures are described by random convolutions and the 64 principal directions of
    their answers, words by vectors drawn by a hash, with one learned layer: our choice, as are the
    smaller network, a mark that tells the normal definition from the others, the temperature of the
    contrast, short parts that are repeated, and the sentences, which are made of the class names.
    Negatives are mined outside the labelled span, as the authors' comment says; their code takes
    steps within it.

Reference
    Liu, Wu, Wu, Wang, Yang, Language-guided open-world video anomaly detection under weak
    supervision, 2025 (LaGoVAD, PreVAD).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from core.artifacts import AnomalyMaps, Artifact, Definitions, Embedding, Grid, Metrics, Model
from core.artifacts.definitions import MOST, split_definitions
from core.errors import UserError
from core.method import Method, Takes
from core.methods.anomaly import _lagovad_figures as figures
from core.methods.anomaly._lagovad_films import SETS, FilmMaker, film_order, parts_of
from core.methods.anomaly._lagovad_params import LagovadParams
from core.methods.anomaly._lagovad_texts import NORMAL, Texts, frame_words, make_texts

if TYPE_CHECKING:
    import torch

    from core.data.dataset import Dataset
    from core.training.run import Batch, Run

DIM = 64  # of the small encoders
SETTLED = 3000  # pictures that the small encoder's directions are chosen on, at most
FILMS = 4000  # training films, at most


class LaGoVAD(Method):
    id = "lagovad"
    title = "Abnormal by definition (LaGoVAD)"
    seed_number = 31
    net_: Any  # the network; Any, since torch types a module's parts as Tensor | Module
    config_: str | None  # of CLIP, by which its network is built again
    takes = Takes(("image",), labels="needed", volumes="no", min_rows=16, seconds_per_value=2e-6)
    gives = (Model, Embedding, AnomalyMaps, Definitions, Grid, Metrics)
    Params = LagovadParams
    other_data = True
    tiny = {"epochs": 1, "batch_size": 16, "steps": 16}
    presets = {
        "fast": {"epochs": 8},
        "standard": {"epochs": 30, "layers": 2},
        "thorough": {"epochs": 100, "layers": 2, "fusions": 2},
    }
    least_steps = 1200

    def declines(self, data: Dataset) -> str | None:
        from core.methods.tracking._film import why_not_followed

        return why_not_followed(data)

    # -- learning ----------------------------------------------------------------------------------
    def make_net(self) -> torch.nn.Module:
        from core.nets.frozen_features import FrozenFeatures
        from core.nets.lagovad import Lagovad, WordEncoder
        from core.nets.local_folder import require_transformers

        p = self.params
        eye: Any
        words: Any
        if p.encoder == "small":
            eye, words = FrozenFeatures(self.channels_, DIM), WordEncoder(DIM)
        else:
            from core.nets.clip import make_clip, open_clip

            require_transformers("CLIP")
            if self.config_ is None:
                eye, words, self.config_ = open_clip(p.clip_folder)
            else:
                eye, words = make_clip(self.config_)
        return Lagovad(eye, words, eye.dim, layers=p.layers, fusions=p.fusions)

    def fit(self, data: Dataset, run: Run) -> None:
        train = self._usable(data.part("train"))
        self.channels_, self.config_ = data.shape[0], None
        shown = frame_words(train, self.columns)
        self.kinds_ = [list(k) for k in sorted(set(shown))]
        self.definitions_, said = self._first_definitions(data, train)
        texts = self.texts
        if not len(texts.names):
            raise UserError("The training frames all show the same; at least two kinds are needed.")
        self.net_ = self.make_net()
        self.net_.to(run.where)
        self._settle(train, run)
        self._train(train, shown, texts, run)
        for words in said, self._encoder_words:
            if words:
                run.note(words)

    def _usable(self, part: Dataset) -> Dataset:
        """Return the rows of which it is known what they show. UserError for too few."""
        known = part.take(np.flatnonzero(part.labels >= 0))
        if len(known) < 8 or len(np.unique(known.labels)) < 2:
            raise UserError(
                "Too few training frames have a class, or all the same one; label frames of at"
                " least two classes."
            )
        return known

    @property
    def columns(self) -> list[str]:
        """Names of the further columns of words."""
        return [c.strip() for c in self.params.also.split(",") if c.strip()]

    @property
    def texts(self) -> Texts:
        """The texts that are learned from."""
        return make_texts([tuple(k) for k in self.kinds_], self.definitions_[0])

    def _first_definitions(self, data: Dataset, train: Dataset) -> tuple[list[str], str]:
        """Return the definitions that the user gave, else those of the classes and a sentence that
        says which.
        """
        from core.nets.hashed_words import split_words

        given = split_definitions(self.params.definitions)
        if given:
            return given, ""
        count = np.bincount(train.labels, minlength=len(data.classes))
        there = [int(k) for k in np.argsort(count, kind="stable") if count[k]]
        if data.normal in data.classes:
            normal = data.classes.index(data.normal)
            ill, said = [k for k in there if k != normal][:MOST], f"every class but “{data.normal}”"
        else:
            ill, said = there[:1], f"the rarest class, “{data.classes[there[0]]}”,"
        texts = [NORMAL, *(" ".join(split_words(data.classes[k])) for k in ill)]
        return texts, f"No definition was given, so {said} counts as abnormal."

    def _settle(self, train: Dataset, run: Run) -> None:
        """Choose the directions of the small encoder by training frames spread over the rows."""
        if self.params.encoder != "small":
            return
        import torch

        some = train.take(np.unique(np.linspace(0, len(train) - 1, SETTLED).astype(np.int64)))
        answers = run.map(self.net_.eye.answers, some)
        self.net_.eye.settle(torch.from_numpy(answers).to(run.where))

    @property
    def _encoder_words(self) -> str:
        return (
            "Pictures and words are described by CLIP, from a folder."
            if self.params.encoder == "clip"
            else "Pictures and words are described by small encoders, not by CLIP: words have no"
            " meaning to it beyond those of the training classes."
        )

    def _train(self, train: Dataset, shown: list[tuple[str, ...]], texts: Texts, run: Run) -> None:
        import torch

        from core.nets.losses.open_world import open_world
        from core.training.ordinary import warm_half_cosine

        p, steps = self.params, int(self.params.steps)
        place = {k: i for i, k in enumerate(texts.kinds)}
        kind = np.array([place[k] for k in shown])
        z = run.map(self.net_.eye, train)
        parts = parts_of(train, kind)
        maker = FilmMaker(parts, z, texts, steps, p.synthesis)
        rows = train.take(np.unique(np.linspace(0, len(train) - 1, FILMS).astype(np.int64)))
        films = rows.with_samples(maker.table(len(rows), np.random.default_rng(run.seed)))
        frames, kinds, applies = (
            torch.from_numpy(a).to(run.where) for a in (z, kind, texts.applies)
        )
        bank = self.net_.words.bank(texts.texts, texts.named)

        def loss(net: Any, batch: Batch) -> dict[str, torch.Tensor]:
            row = batch.x.long()
            at, sets = row[:, :steps], row[:, steps:].split(SETS, 1)
            there = at >= 0
            at = at.clamp_min(0)
            judged = net(frames[at], there, list(sets), bank)
            found: dict[str, torch.Tensor] = {}
            for (one, said), chosen in zip(judged, sets):
                hit = applies[chosen.clamp_min(0)].gather(
                    2, kinds[at][:, None].expand(-1, SETS, -1)
                )
                hit = hit & (chosen >= 0)[..., None] & there[:, None]
                which = hit.any(2).float().argmax(1)  # the normal one, 0, where none is met
                number = chosen.gather(1, which[:, None])[:, 0]
                met = said[torch.arange(len(said), device=said.device), which]
                terms = open_world(one, there, hit.any(1), which, met, number, p.mining)
                for name, value in terms.items():
                    found[name] = found[name] + value if name in found else value
            return {"loss": torch.stack(list(found.values())).sum(), **found}

        run.fit(
            self.net_,
            loss,
            films,
            p,
            optimiser=torch.optim.AdamW(
                [w for w in self.net_.parameters() if w.requires_grad],
                p.learning_rate,
                weight_decay=0.0,
            ),
            schedule=warm_half_cosine(p.learning_rate, 20),
            clip=1.0,
            drop_last=False,
            of=rows,
        )
        self.net_.eval()

    # -- judging -----------------------------------------------------------------------------------
    def judge(self, data: Dataset, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """(score float32 [n] in [0, 1], likeness float32 [n,k] in [-1, 1]) of the rows of `data`
        under definitions `texts`, the first of what is normal. A frame is judged in its whole clip.
        """
        from core.training.inference import map_rows

        whole = self._clips_about(data)
        z = map_rows(self.net_.eye, whole, self._device, 256, lambda: None)
        return self._judged(data, whole, z, texts)

    @property
    def _device(self) -> torch.device:
        device: torch.device = self.net_.alpha.device
        return device

    def _clips_about(self, data: Dataset) -> Dataset:
        """Return all frames of the clips that rows of `data` are of."""
        from core.data.clips import clip_names

        every = data.every
        names = clip_names(every)
        wanted = set(names[np.isin(every.rows, data.rows)].tolist())
        return every.take(np.flatnonzero([n in wanted for n in names]))

    def _judged(
        self, data: Dataset, whole: Dataset, z: np.ndarray, texts: list[str]
    ) -> tuple[np.ndarray, np.ndarray]:
        """As `judge`, of rows among those of `whole`, which `z` [m,d] describes."""
        steps = int(self.params.steps)
        chunks = [
            some
            for _, at in film_order(whole)
            for some in np.array_split(at, max(1, -(-len(at) // steps)))
        ]
        score = np.zeros(len(whole), np.float32)
        likeness = np.zeros((len(whole), len(texts)), np.float32)
        for some, logit, like in self.judge_films(z, chunks, [texts] * len(chunks)):
            score[some] = 1 / (1 + np.exp(-logit))
            likeness[some] = like
        place = {int(r): i for i, r in enumerate(whole.rows)}
        at = np.array([place[int(r)] for r in data.rows], dtype=np.int64)
        return score[at], likeness[at]

    def judge_films(
        self, z: np.ndarray, films: list[np.ndarray], sets: list[list[str]]
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Yield (positions, logit [T], likeness [T,k] in [-1, 1]) of films of frames, positions in
        `z` [m,d], each under its own definitions.
        """
        import torch

        texts = self.texts
        known = {texts.texts[i] for i in texts.names}
        every = list(dict.fromkeys(t for s in sets for t in s))
        number = {t: i for i, t in enumerate(every)}
        named = [t.lower() in known or t == self.definitions_[0] for t in every]
        frames = torch.from_numpy(z).to(self._device)
        with torch.no_grad():
            said = self.net_.words(*self.net_.words.bank(every, named))
            for i in range(0, len(films), 32):
                some, chosen = films[i : i + 32], sets[i : i + 32]
                at = _padded(some).to(self._device)
                which = _padded([np.array([number[t] for t in s]) for s in chosen]).to(self._device)
                film = self.net_.temporal(frames[at.clamp_min(0)], at >= 0)
                found = self.net_.judge(film, at >= 0, said[which.clamp_min(0)], which >= 0)
                cosine = found.likeness * self.net_.temperature.clamp_min(0.02)
                for j, (one, texts_of) in enumerate(zip(some, chosen)):
                    logit = found.logit[j, : len(one)].cpu().numpy()
                    yield one, logit, cosine[j, : len(one), : len(texts_of)].cpu().numpy()

    def strangeness(self, texts: list[str]) -> list[tuple[float, list[str]]]:
        """Return of each text how far it is from the nearest that was learned from, in units of the
        farthest that one of these is from its own nearest (more than 1: farther than any), and
        which of its words were never read.
        """
        return figures.strangeness(self.texts.texts, texts)

    # -- applying ----------------------------------------------------------------------------------
    def apply(self, data: Dataset, run: Run) -> Iterator[Artifact]:
        whole = self._clips_about(data)
        z = run.map(self.net_.eye, whole)
        place = {int(r): i for i, r in enumerate(whole.rows)}
        own = z[[place[int(r)] for r in data.rows]]
        score, likeness = self._judged(data, whole, z, self.definitions_)
        yield Embedding(rows=data.rows, name="latent", z=own, layer="pictures, before any word")
        yield AnomalyMaps(
            rows=data.rows,
            score=score,
            threshold=0.5,
            rule="more likely abnormal than not",
            unit="how sure that it is abnormal as defined, 0 to 1",
        )
        yield Definitions(
            rows=data.rows,
            texts=self.definitions_,
            score=score,
            likeness=likeness,
            learned=[self.texts.texts[i] for i in (*self.texts.names, *self.texts.sentences)],
        )
        if len(self.definitions_) > 1:
            yield figures.by_film(data, likeness, self.definitions_)
        yield Metrics.of(figures.measure(self, data, own, run), data.rows)

    # -- abilities ---------------------------------------------------------------------------------
    def embed(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.net_.eye(x)
        return found


def _padded(rows: list[np.ndarray]) -> torch.Tensor:
    """int64 [n,L]: rows of numbers, -1 behind the shorter ones."""
    import torch

    made = np.full((len(rows), max(map(len, rows))), -1, np.int64)
    for i, row in enumerate(rows):
        made[i, : len(row)] = row
    return torch.from_numpy(made)

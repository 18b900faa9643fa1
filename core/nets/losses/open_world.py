"""Losses of a detector that is told in words what is abnormal (LaGoVAD): several instances a film,
a pseudo label a frame, several classes, and film to text contrast with mined negatives.

Films are [b,T]; `there` bool [b,T] says which steps are no padding, `truth` bool [b,T] which are
abnormal by the definitions given, `which` int64 [b] the definition that is met, 0 = the normal one.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

SHARP = 0.02  # temperature by which a film's steps are weighted
LEAST_RANGE = 0.2  # of the probabilities of a film whose normal part serves as a negative
SMOOTHING = 0.1
TEMPERATURE = 0.1  # of the contrast; ours
NEVER = -1e4


def top_mean(values: Tensor, among: Tensor, part: int) -> Tensor:
    """Mean of the ⌊n / `part`⌋ (at least 1) largest of the n `values` [b,T] that are `among` (bool
    [b,T]): [b]; 0 where there are none.
    """
    n = among.sum(1)
    many = (n // part).clamp_min(1)
    ranked = values.masked_fill(~among, NEVER).sort(1, descending=True).values
    chosen = torch.arange(values.shape[1], device=values.device)[None] < torch.minimum(
        many, n
    ).unsqueeze(1)
    return (ranked * chosen).sum(1) / many


def mil(logit: Tensor, there: Tensor, truth: Tensor) -> Tensor:
    """Binary cross-entropy of the mean of a film's top ⌊T/16⌋ logits with whether it is abnormal
    anywhere: 0-d.
    """
    return F.binary_cross_entropy_with_logits(
        top_mean(logit, there, 16), truth.any(1).to(logit.dtype)
    )


def frame_loss(logit: Tensor, there: Tensor, truth: Tensor) -> Tensor:
    """Binary cross-entropy of each step's logit with its label, mean over steps: 0-d."""
    each = F.binary_cross_entropy_with_logits(logit, truth.to(logit.dtype), reduction="none")
    return (each * there).sum() / there.sum().clamp_min(1)


def span_mil(logit: Tensor, there: Tensor, truth: Tensor) -> Tensor:
    """As `mil`, by the top quarter within the labelled span; in normal films of all steps: 0-d."""
    ill = truth.any(1)
    among = torch.where(ill[:, None], truth & there, there)
    return F.binary_cross_entropy_with_logits(top_mean(logit, among, 4), ill.to(logit.dtype))


def class_mil(likeness: Tensor, there: Tensor, which: Tensor) -> Tensor:
    """Cross-entropy over the definitions of the mean of each one's top ⌊T/16⌋ likenesses [b,T,K]:
    0-d.
    """
    b, steps, k = likeness.shape
    flat = likeness.transpose(1, 2).reshape(b * k, steps)
    among = there[:, None].expand(b, k, steps).reshape(b * k, steps)
    return F.cross_entropy(top_mean(flat, among, 16).view(b, k), which)


def film_vectors(film: Tensor, logit: Tensor, among: Tensor) -> Tensor:
    """Mean of the steps of `film` [b,T,d] that are `among`, weighted by softmax(logit / 0.02):
    [b,d].
    """
    weight = (logit / SHARP).masked_fill(~among, -torch.inf)
    empty = ~among.any(1, keepdim=True)
    weight = torch.softmax(weight.masked_fill(empty, 0.0), 1)
    return (weight.unsqueeze(-1) * film).sum(1)


def contrast(
    film: Tensor,
    logit: Tensor,
    there: Tensor,
    truth: Tensor,
    text: Tensor,
    number: Tensor,
    mining: bool,
) -> Tensor:
    """InfoNCE between abnormal films and the texts they meet, both ways, labels smoothed: 0-d.

    `film` [b,T,d], `text` [b,d] the definition each film meets, of `number` int64 [b]; films whose
    text is the same are no negatives of each other. `mining` adds the normal part of films whose
    probabilities range over at least 0.2: the steps outside the labelled span, weighted by
    softmax(-logit / 0.02), as negatives of every text. Normal films take no part.
    """
    ill = truth.any(1)
    found = F.normalize(film_vectors(film, logit, there), dim=1)
    said = F.normalize(text, dim=1)
    same = (number[:, None] == number[None]) & ~torch.eye(len(film), device=film.device).bool()
    score = (said @ found.T / TEMPERATURE).masked_fill(same | ~ill[None], NEVER)
    back = (found @ said.T / TEMPERATURE).masked_fill(same | ~ill[None], NEVER)
    if mining:
        outside, usable = mined(logit, there, truth)
        negatives = F.normalize(film_vectors(film, -logit, outside), dim=1)
        more = (said @ negatives.T / TEMPERATURE).masked_fill(~usable[None], NEVER)
        score = torch.cat([score, more], 1)
    own = torch.arange(len(film), device=film.device)
    each = smoothed(score, own) + smoothed(back, own)
    return 0.5 * (each * ill).sum() / ill.sum().clamp_min(1)


def smoothed(score: Tensor, own: Tensor) -> Tensor:
    """Cross-entropy [b] of rows of `score` [b,n] with their `own` column, labels smoothed over the
    columns that are not masked out.
    """
    usable = score > NEVER / 2
    log = F.log_softmax(score, 1)
    right = log.gather(1, own[:, None])[:, 0]
    spread = (log * usable).sum(1) / usable.sum(1).clamp_min(1)
    return -(1 - SMOOTHING) * right - SMOOTHING * spread


def mined(logit: Tensor, there: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """(bool [b,T] the steps that a negative is made of, bool [b] films that give one): those
    outside the labelled span, of abnormal films whose probabilities range over at least 0.2.
    """
    outside = there & ~truth
    prob = torch.sigmoid(logit)
    span = prob.masked_fill(~there, -1).amax(1) - prob.masked_fill(~there, 2).amin(1)
    return outside, truth.any(1) & outside.any(1) & (span >= LEAST_RANGE)


def open_world(
    judged: Any,
    there: Tensor,
    truth: Tensor,
    which: Tensor,
    text: Tensor,
    number: Tensor,
    mining: bool,
) -> dict[str, Tensor]:
    """Return the five losses of a pass, each of weight 1, by name; `judged` is the network's."""
    return {
        "film": mil(judged.logit, there, truth),
        "frame": frame_loss(judged.logit, there, truth),
        "span": span_mil(judged.logit, there, truth),
        "class": class_mil(judged.likeness, there, which),
        "contrast": contrast(judged.temporal, judged.logit, there, truth, text, number, mining),
    }

"""The figures of redrawn pictures, computed again another way."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from core.artifacts import Images
from core.data.samples.catalogue import make_sample
from core.registry import measures


def found(data, drawn):
    made = measures()["reconstruction"].compute(
        data,
        Images(rows=data.rows, image=drawn.astype("f4"), role="reconstruction"),
        rng=np.random.default_rng(0),
    )
    return {m.name: m for m in made}


def similarity(a, b):
    """Wang et al. 2004: Gaussian windows of 11 pixels and sd 1.5, mean over all pixels, for
    pictures [n,h,w] in [0,1].
    """
    e = lambda v: gaussian_filter(v.astype(float), (0, 1.5, 1.5), truncate=5 / 1.5, mode="mirror")  # noqa: E731
    m, n = e(a), e(b)
    va, vb, c = e(a * a) - m * m, e(b * b) - n * n, e(a * b) - m * n
    return (
        (2 * m * n + 0.01**2)
        * (2 * c + 0.03**2)
        / ((m * m + n * n + 0.01**2) * (va + vb + 0.03**2))
    ).mean((1, 2))


def test_similarity_and_error_are_those_computed_by_hand():
    data = make_sample("head-phantom")
    x = data.inputs()
    noisy = np.clip(x + np.random.default_rng(1).normal(0, 0.1, x.shape), 0, 1).astype("f4")
    got = found(data, noisy)
    at = np.isin(data.rows, data.part("test").rows)
    wanted = similarity(noisy[at, 0].astype(float), x[at, 0].astype(float)).mean()
    assert got["structural similarity"].value == pytest.approx(wanted, abs=1e-4)
    assert got["structural similarity"].low <= wanted <= got["structural similarity"].high
    mean = data.part("train").inputs().mean(0)
    error = got["reconstruction error (share of the mean picture's)"].value
    assert error == pytest.approx(
        float(np.square(x - noisy)[at].mean() / np.square(x - mean)[at].mean()), rel=1e-4
    )


def test_a_perfect_picture_is_perfect():
    data = make_sample("head-phantom")
    got = found(data, data.inputs())
    assert got["structural similarity"].value == pytest.approx(1, abs=1e-5)
    assert got["reconstruction error (share of the mean picture's)"].value == 0

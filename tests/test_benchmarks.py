"""Rivals of the benchmarks that are methods of ours before they have learned anything."""

import numpy as np
import pytest

from core.data.samples.catalogue import make_sample
from tests.benchmarks import bench_gaussian_vae, bench_swav


@pytest.fixture(scope="module")
def few():
    digits = make_sample("digits")
    return digits.of(digits.rows[:64])


@pytest.mark.parametrize("method", ["gaussian_vae", "dirichlet_vae"])
def test_an_untrained_autoencoder_gives_latents(method, few):
    z = bench_gaussian_vae.untrained(method, few, {})
    assert len(z) == 64
    assert np.isfinite(z).all()
    assert z.std() > 0


def test_an_untrained_encoder_gives_an_embedding_that_its_seed_decides(few):
    first, again, other = (bench_swav.untrained(few, seed) for seed in (0, 0, 1))
    assert len(first) == 64
    assert np.array_equal(first, again)
    assert not np.allclose(first, other)

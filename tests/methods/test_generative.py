"""The two variational autoencoders on the digits: what a stub, an untrained or a collapsed network
could not show.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from sklearn.linear_model import LogisticRegression

from core.explain import traversal
from core.nets.vae import GaussianVAE
from tests.methods._fit import on_digits, sample
from tests.soak import longer

BOTH = ["gaussian_vae", "dirichlet_vae"]
EPOCHS = longer(1, 30)


def trained(id: str):
    return on_digits(id, epochs=EPOCHS, latent=10)


@pytest.mark.soak(only=True)
@pytest.mark.parametrize("id", BOTH)
def test_unseen_digits_are_redrawn_better_than_by_the_mean_picture(id):
    data, (_, given) = sample("digits"), trained(id)
    test = data.splits == "test"
    x, back = data.inputs(), given["images-reconstruction"].image
    mean = x[data.splits == "train"].mean(0)
    assert np.square(x[test] - back[test]).mean() < 0.6 * np.square(x[test] - mean).mean()


@pytest.mark.soak(only=True)
@pytest.mark.parametrize("id", BOTH)
def test_the_latent_tells_digits_apart_and_shuffled_labels_do_not(id):
    data, (_, given) = sample("digits"), trained(id)
    z, train, test = given["embedding-latent"].z, data.splits == "train", data.splits == "test"
    shuffled = np.random.default_rng(0).permutation(data.labels[train])
    scores = [
        LogisticRegression(max_iter=2000).fit(z[train], y).score(z[test], data.labels[test])
        for y in (data.labels[train], shuffled)
    ]
    assert scores[0] - scores[1] > 0.4


@pytest.mark.soak(only=True)
@pytest.mark.parametrize("id", BOTH)
def test_walking_towards_a_class_raises_its_probability_steadily(id):
    data, (method, given) = sample("digits"), trained(id)
    embedding = given["embedding-latent"]
    said = []
    for label in ("0", "6"):
        row = int(
            data.rows[(data.splits == "test") & (data.labels != data.classes.index(label))][0]
        )
        path = traversal.traverse_toward_label(method, data, embedding, row, label, 9)
        said.append(spearmanr(path.value, path.output[:, method.classes.index(label)]).statistic)
    assert np.mean(said) > 0.9


def test_dirichlet_latents_are_mixtures():
    z = trained("dirichlet_vae")[1]["embedding-latent"].z
    np.testing.assert_allclose(z.sum(1), 1, atol=1e-4)
    assert (z >= 0).all()


def test_dirichlet_gradient_is_the_one_of_the_mean():
    """d E[z_k] / d alpha_k from reparameterised samples against the closed form (a0 - a_k) /
    a0^2.
    """
    torch.manual_seed(0)
    alpha = torch.tensor([0.7, 1.5, 3.0], requires_grad=True)
    z = torch.distributions.Dirichlet(alpha.expand(200_000, 3)).rsample()
    z[:, 1].mean().backward()
    total = alpha.detach().sum()
    assert abs(float(alpha.grad[1] / ((total - 1.5) / total**2)) - 1) < 0.05


@pytest.mark.soak(only=True)
def test_no_latent_axis_of_the_trained_model_is_ignored_by_all_cases():
    std = trained("gaussian_vae")[1]["embedding-latent"].z.std(0)
    assert (std > 0.1).sum() >= 5, "the posterior has collapsed onto the prior"


def test_pictures_of_odd_sizes_come_back_in_their_size():
    for shape in ((1, 28, 28), (3, 17, 40), (1, 64, 64), (5,)):
        net = GaussianVAE(shape, 4, 3).eval()
        assert net(torch.rand(2, *shape))[0].shape == (2, *shape)


def test_the_classifier_needs_labels_and_says_so():
    method, _ = trained("gaussian_vae")
    assert "predict" in method.abilities
    bare, given = on_digits("gaussian_vae", epochs=1, classifier=False)
    assert "predict" not in bare.abilities
    assert not any(slug.startswith("predictions") for slug in given)

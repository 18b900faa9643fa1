"""Formulas against known answers."""

import numpy as np
import pytest
import torch

from core.artifacts import Embedding, Model
from core.data.samples.catalogue import make_sample
from core.explain import traversal
from core.explain.axis_names import kept_names, name_axes
from core.jobs import queue
from core.jobs.run_folder import find_artifact
from core.maps.faithfulness import faithfulness
from core.measures.pixel_anomaly import aupro, pooled
from core.measures.rankme import rankme
from core.nets.losses.elbo import dirichlet_kl, gaussian_kl
from core.nets.sinkhorn import sinkhorn
from core.registry import methods, open_model
from core.stats.cluster_agreement import accuracy, purity
from core.training.fit import fit_and_apply
from core.training.run import Run
from core.workspace.workspace import Workspace


def test_dirichlet_kl_is_torchs():
    a, b = torch.rand(20, 6) * 5 + 0.1, torch.rand(20, 6) * 5 + 0.1
    expected = torch.distributions.kl_divergence(
        torch.distributions.Dirichlet(a), torch.distributions.Dirichlet(b)
    )
    torch.testing.assert_close(dirichlet_kl(a, b), expected, atol=1e-4, rtol=1e-4)
    assert dirichlet_kl(a, a).abs().max() < 1e-4
    assert gaussian_kl(torch.zeros(1, 3), torch.zeros(1, 3)).item() == 0


def test_sinkhorn_rows_and_columns():
    z, c = (torch.nn.functional.normalize(torch.randn(n, 32), dim=1) for n in (256, 60))
    q = sinkhorn(z @ c.T, iterations=50)  # scores are cosines, as in training
    assert torch.allclose(q.sum(1), torch.ones(256), atol=1e-5)
    assert torch.allclose(q.sum(0), torch.full((60,), 256 / 60), rtol=0.01)


def test_matching_hand_case():
    y, c = np.array([0, 0, 0, 1, 1, 1]), np.array([0, 0, 1, 1, 2, 2])
    assert accuracy(c, y) == pytest.approx(4 / 6)
    assert purity(c, y) == pytest.approx(5 / 6)


def test_rankme_known_ranks():
    q, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(50, 8)))
    assert rankme(q) == pytest.approx(8, abs=1e-3)
    assert rankme(q * 7) == pytest.approx(rankme(q))


def test_pixel_metric_limits():
    masks = np.zeros((4, 12, 12), bool)
    masks[0, 2:5, 2:5] = masks[1, 7:10, 7:10] = True
    assert aupro(masks.astype(float), masks) == pytest.approx(1)
    assert aupro(np.zeros(masks.shape), masks) == pytest.approx(0.15)
    half = np.where(masks, 0.0, 0.5)
    half[0][masks[0]] = 1.0
    assert aupro(half, masks) == pytest.approx(0.5, abs=0.01)
    both = np.array([[0, 0, 5], [9, 1, 0]])
    assert pooled((both[0], both[1]))[:2] == pytest.approx((1.0, 1.0))


def test_trustworthiness_is_scikit_learns():
    from sklearn.manifold import trustworthiness

    z = np.random.default_rng(0).normal(size=(120, 5))
    _, _, scores = faithfulness(z, z[:, :2])
    assert scores["trustworthiness"] == pytest.approx(
        trustworthiness(z, z[:, :2], n_neighbors=15), abs=1e-9
    )


def test_traversal_ends_are_the_reconstructions():
    data = make_sample("digits").take(np.arange(120))
    kind = methods()["pca"]
    model, given = fit_and_apply(kind, kind.Params(dimensions=6), data, Run(device="cpu"))
    embedding, images = given[1], given[2]
    path = traversal.traverse_between(model, data, embedding, 3, 17, 5)
    np.testing.assert_allclose(path.frames[0], images.image[3], atol=1e-5)
    np.testing.assert_allclose(path.frames[-1], images.image[17], atol=1e-5)


def test_what_is_decoded_ahead_is_what_each_place_decodes_to():
    data = make_sample("digits").take(np.arange(120))
    kind = methods()["pca"]
    model, given = fit_and_apply(kind, kind.Params(dimensions=6), data, Run(device="cpu"))
    embedding = given[1]
    z = traversal.latent_position(embedding, 7)
    reach = {4: (-9.0, 9.0), 1: (-5.0, 30.0)}
    ahead = traversal.decode_ahead(model, data, embedding, z, reach, 7)
    assert ahead.axes.tolist() == [4, 1]
    assert ahead.frames.shape == (2, 7, *data.shape)
    for i, (axis, (low, high)) in enumerate(reach.items()):
        assert (ahead.values[i, 0], ahead.values[i, -1]) == (low, high)
        assert ahead.values[i, ahead.at[i]] == pytest.approx(z[axis]), "where it is, exactly"
        for k, value in enumerate(ahead.values[i]):
            moved = traversal.set_coordinate(embedding, z, axis, value)
            np.testing.assert_allclose(
                ahead.frames[i, k], traversal.decode(model, moved[None])[0], atol=1e-5
            )
            assert ahead.distance[i, k] == pytest.approx(
                traversal.distance_percentile(data, embedding, moved[None])[0]
            )


def test_a_run_keeps_what_each_of_its_axes_changes_and_follows(tmp_path):
    ws = Workspace(tmp_path)
    ws.add(make_sample("digits").take(np.arange(120)))
    run = queue.wait(ws, queue.train(ws, "digits", "pca", {"dimensions": 4}).id, timeout=200)
    embedding = find_artifact(ws, run.id, Embedding)
    model = open_model(find_artifact(ws, run.id, Model))
    measured = traversal.measure_axis_effects(model, embedding)
    np.testing.assert_allclose(embedding.effect, measured, rtol=1e-5)
    assert embedding.effect[0] > embedding.effect[-1] > 0
    assert any(embedding.follows)
    assert kept_names(embedding, None) == name_axes(embedding, ws.dataset("digits"))


def test_killed_and_resumed_equals_straight(tmp_path):
    data, kind = make_sample("digits").take(np.arange(160)), methods()["gaussian_vae"]
    params = kind.Params(epochs=4, latent=4, width=4, batch_size=16)
    straight, _ = fit_and_apply(kind, params, data, Run(device="cpu"))

    class Killed(Exception):
        pass

    def kill(step, total, scalars):
        if step == 12:
            raise Killed

    with pytest.raises(Killed):
        fit_and_apply(
            kind,
            params,
            data,
            Run(device="cpu", folder=tmp_path, checkpoint_every=0, report_to=kill),
        )
    resumed, _ = fit_and_apply(
        kind, params, data, Run(device="cpu", folder=tmp_path, checkpoint_every=1e9, resume=True)
    )
    for key, value in straight.net_.state_dict().items():
        torch.testing.assert_close(value, resumed.net_.state_dict()[key], atol=1e-5, rtol=1e-4)

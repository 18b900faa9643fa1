"""A dataset whose rows keep their labels while a network is given something made of them."""

import numpy as np
import torch

from core.data.samples.catalogue import make_sample
from core.training.run import Run


def test_numbers_made_of_the_rows_are_given_as_they_are():
    data = make_sample("digits").take(np.arange(40, 52))
    made = data.with_samples(np.arange(36, dtype=np.float32).reshape(12, 3) - 5)
    assert made.rows.tolist() == list(range(12))
    assert np.array_equal(made.labels, data.labels)
    assert np.array_equal(made.inputs(), made.samples)
    tall = data.with_samples(np.full((12, 1, 4, 4), 7, np.float32))
    assert (tall.inputs() == 7).all()


def test_codes_stand_in_place_of_labels_in_every_view():
    data = make_sample("digits").take(np.array([5, 3, 9, 8]))
    coded = data.with_labels(np.array([2, -1, 0, 2]))
    assert coded.labels.tolist() == [2, -1, 0, 2]
    assert coded.take(np.array([3, 1])).labels.tolist() == [2, -1]
    assert coded.with_samples(np.zeros((4, 2), np.float32)).labels.tolist() == [2, -1, 0, 2]
    assert np.array_equal(coded.inputs(), data.inputs())


class Few:
    epochs, batch_size, learning_rate, patience = 2, 8, 0.1, 0


def test_the_ordinary_training_learns_from_the_loss_by_the_schedule():
    data = make_sample("digits").take(np.arange(16))
    net, seen, rates = torch.nn.Linear(64, 1), [], []
    optimiser = torch.optim.SGD(net.parameters(), 0.5)
    before = net.weight.detach().clone()

    def loss(called, batch):
        rates.append(optimiser.param_groups[0]["lr"])
        wrong = (called(batch.x.flatten(1)) - batch.y[:, None]).square().mean()
        return {"loss": wrong, "twice": 2 * wrong}

    run = Run(device="cpu", report_to=lambda step, total, scalars: seen.append((step, scalars)))
    run.fit(
        net, loss, data, Few(), optimiser=optimiser, schedule=lambda step, of: 0.01 / (1 + step)
    )
    assert rates == [0.01, 0.01 / 2, 0.01 / 3, 0.01 / 4]
    assert [step for step, _ in seen] == [1, 2, 3, 4]
    assert all(float(s["twice"]) == 2 * float(s["loss"]) for _, s in seen)
    assert not torch.equal(before, net.weight)

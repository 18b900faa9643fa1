"""Views of pictures: each altered in its own way, as far as is said and no further."""

import math

import pytest
import torch

from core.nets import augment
from core.nets.augment import Views, multi_crop


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def pictures(channels=1, height=32, width=32, n=64):
    """Smooth pictures in [0,1], each with another phase."""
    y, x = torch.meshgrid(torch.linspace(0, 3, height), torch.linspace(0, 5, width), indexing="ij")
    phase = torch.rand(n, channels, 1, 1) * 6
    return 0.5 + 0.4 * torch.sin(x + phase) * torch.cos(y + phase)


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("side", [8, 32])
def test_views_are_pictures_each_altered_in_its_own_way(channels, side):
    x = pictures(channels, side, side)
    seen = Views()(x)
    assert seen.shape == x.shape
    assert seen.dtype == x.dtype
    assert seen.min() >= 0
    assert seen.max() <= 1
    same = Views()(x[:1].repeat(64, 1, 1, 1)).flatten(1)
    assert len(same.unique(dim=0)) == 64


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("side", [8, 32])
def test_without_strength_the_whole_picture_stays(channels, side, monkeypatch):
    monkeypatch.setattr(augment, "_chosen", lambda x, share: torch.zeros(len(x)))
    monkeypatch.setattr(augment.math, "log", lambda value: 0.0)  # no change of the sides' ratio
    x = pictures(channels, side, 2 * side)
    assert torch.allclose(Views(strength=0.0, scale=(1.0, 1.0))(x), x, atol=1e-4)


def test_the_same_seed_gives_the_same_views():
    x = pictures()
    torch.manual_seed(3)
    first = Views()(x)
    torch.manual_seed(3)
    assert torch.equal(first, Views()(x))


def test_a_turn_keeps_shapes_on_pictures_that_are_no_squares(monkeypatch):
    """A disc stays a disc: distances are of pixels, not of halves of the sides."""
    monkeypatch.setattr(augment, "_chosen", lambda x, share: torch.ones(len(x)))
    monkeypatch.setattr(augment, "_uniform", lambda x, low, high: torch.full((len(x),), high))
    y, x = torch.meshgrid(torch.arange(40.0), torch.arange(80.0), indexing="ij")
    disc = (((y - 19.5) ** 2 + (x - 39.5) ** 2) < 144).float()[None, None]
    line = ((y - 19.5).abs() < 1).float()[None, None]
    views = Views(scale=(1.0, 1.0))
    monkeypatch.setattr(augment.math, "log", lambda value: 0.0)  # no change of the sides' ratio
    turned = views._cut(disc, small=False)
    assert (turned - disc).abs().mean() < 0.01
    slope = views._cut(line, small=False)[0, 0]
    rise = slope[:, 70].argmax() - slope[:, 10].argmax()
    assert abs(float(rise)) == pytest.approx(60 * math.tan(math.radians(10)), abs=2)


def test_sides_are_swapped_where_it_is_asked_for_only(monkeypatch):
    monkeypatch.setattr(augment, "_chosen", lambda x, share: torch.full((len(x),), share > 0.4))
    x = torch.zeros(1, 1, 32, 32)
    x[..., :10] = 1
    views = Views(strength=0.0, scale=(1.0, 1.0))
    assert views._cut(x, small=False)[..., :8].mean() > 0.9
    assert Views(strength=0.0, scale=(1.0, 1.0), flip=True)._cut(x, False)[..., :8].mean() < 0.1


def test_blur_is_the_gaussian_that_is_drawn():
    from kornia.filters import gaussian_blur2d

    x, sigma = pictures(2, 24, 30, n=3), torch.tensor([0.7, 0.0, 1.4])
    seen = augment._blur(x, sigma, 5)
    assert torch.equal(seen[1], x[1])
    for i in (0, 2):
        wanted = gaussian_blur2d(x[i : i + 1], (5, 5), (float(sigma[i]),) * 2, "reflect")
        assert torch.allclose(seen[i : i + 1], wanted, atol=1e-5)


def test_hue_and_saturation_leave_the_brightness(monkeypatch):
    x = 0.25 + 0.5 * pictures(3)
    monkeypatch.setattr(augment, "_contrast", lambda x, factor: x)
    drawn = iter([0.0, 0.0, 0.3, 0.1])  # brightness, contrast, saturation, hue
    monkeypatch.setattr(augment, "_chosen", lambda x, share: torch.full((len(x),), share > 0.5) * 1)
    monkeypatch.setattr(
        augment, "_uniform", lambda x, low, high: torch.full((len(x),), next(drawn))
    )
    seen, grey = Views()._recolour(x), torch.tensor(augment.GREY)[:, None, None]
    inside = ((seen > 0) & (seen < 1)).all(1)
    assert inside.float().mean() > 0.5
    assert ((seen - x) * grey).sum(1)[inside].abs().max() < 1e-3
    assert (seen - x).abs().max() > 0.05


def test_contrast_is_about_the_mean_of_each_picture():
    x = 0.25 + 0.5 * pictures()
    seen = augment._contrast(x, torch.full((len(x),), 0.5))
    assert torch.allclose(seen.mean((1, 2, 3)), x.mean((1, 2, 3)), atol=1e-5)
    assert torch.allclose(seen.std((1, 2, 3)), 0.5 * x.std((1, 2, 3)), atol=1e-5)


def test_small_crops_come_after_two_whole_views():
    x = pictures(1, 28, 32, n=5)
    assert [tuple(v.shape) for v in multi_crop((1, 28, 32), 3)(x)] == [
        (5, 1, 28, 32),
        (5, 1, 28, 32),
        *[(5, 1, 14, 14)] * 3,
    ]
    assert [tuple(v.shape) for v in multi_crop((1, 8, 8), 3)(pictures(1, 8, 8, n=5))] == [
        (5, 1, 8, 8)
    ] * 2

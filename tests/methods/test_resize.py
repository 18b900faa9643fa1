"""The interpolation of decoders by matrices, as graphics cards do it, against torch's."""

import pytest
import torch
from torch.nn import functional as F

from core.nets.resize import MODES, by_matrices, resized


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ((5,), (9,)),
        ((8, 8), (16, 16)),
        ((7, 4), (13, 8)),
        ((6, 9), (3, 9)),
        ((3, 4, 5), (6, 7, 10)),
    ],
)
def test_values_and_gradients_are_those_of_torch(old, new):
    x = torch.randn(2, 3, *old, dtype=torch.float32, requires_grad=True)
    there = x.detach().clone().requires_grad_()
    straight = F.interpolate(there, size=new, mode=MODES[len(old) - 1], align_corners=False)
    made = by_matrices(x, new)
    torch.testing.assert_close(made, straight)
    by = torch.randn_like(straight)
    (made * by).sum().backward()
    (straight * by).sum().backward()
    torch.testing.assert_close(x.grad, there.grad)
    assert torch.equal(resized(there, new), straight), "on the processor it is torch's"


def test_channels_stay_last_in_memory():
    x = torch.randn(2, 3, 8, 8).contiguous(memory_format=torch.channels_last)
    assert by_matrices(x, (16, 16)).is_contiguous(memory_format=torch.channels_last)

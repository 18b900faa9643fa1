"""The calls of a network, shared out among the processes of a run so that what is learned is what
one process learns.

Every process holds the whole batch. A call of the network computes the rows of this process, and
its results are gathered, so that the loss, whatever it looks at across the batch, is that of the
whole batch in every process; on the way back each takes the gradient of its own rows. DDP averages
the gradients of the weights over the processes: inside a call they are those of its rows times the
number of processes, outside they are the same everywhere, and both come out as in one process.

What a call does across rows is done over all processes: the statistics of `F.batch_norm`. What it
draws at random by row is drawn for the whole batch, and the rows taken, so that the numbers are
those of one process: `rand`, `randn` and their kin, `F.dropout`. All else of a call has to be of
each row by itself; methods of which this holds say so (`Method.shares_batches`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_unflatten

from core.errors import UserError
from core.training.ranks import Ranks

PLAIN = (int, float, str, bool, type(None))
ACROSS = (
    "This network cannot be shared out among several processes: it gives a result that is not one"
    " row a case; train it with one."
)
ATTENDS = (
    "This network cannot be shared out among several processes: its attention drops at random; set"
    " its dropout to 0, or train it with one."
)


@dataclass(frozen=True)
class Share:
    """The rows of a call, `rows` in all, that are computed here; `sizes`: how many each process
    does. `stacks`: how many inputs of as many rows the call has, such as views, which the network
    may stack on one another.
    """

    rows: int
    rank: int
    sizes: tuple[int, ...]
    stacks: int = 1

    @property
    def mine(self) -> int:
        """How many rows are computed here."""
        return self.sizes[self.rank]

    def times(self, length: int) -> int:
        """How many entries a row has in a first dimension of `length` of a result here; 0 where it
        is not one of rows.
        """
        return length // self.mine if length and length % self.mine == 0 else 0

    def pick(self, whole: Tensor, k: int) -> Tensor:
        """Return the entries of here [k * mine, ...] of those of all rows [k * rows, ...]."""
        high = self.stacks if k % self.stacks == 0 else 1
        start, wide = sum(self.sizes[: self.rank]), k // high
        if high == 1:
            return whole[k * start : k * (start + self.mine)]
        stacked = whole.unflatten(0, (high, wide * self.rows))
        return stacked[:, wide * start : wide * (start + self.mine)].flatten(0, 1)

    def join(self, parts: list[Tensor], k: int) -> Tensor:
        """Return the entries of all rows [k * rows, ...] from those of each process."""
        high = self.stacks if k % self.stacks == 0 else 1
        if high == 1:
            return torch.cat(parts)
        return torch.cat([part.unflatten(0, (high, -1)) for part in parts], 1).flatten(0, 1)


def share_of(rows: int, ranks: Ranks, stacks: int = 1) -> Share:
    """Return the rows that are computed here of so many, all as many but for one."""
    least, more = divmod(rows, ranks.size)
    sizes = tuple(least + (r < more) for r in range(ranks.size))
    return Share(rows, ranks.rank, sizes, stacks)


class SplitCalls:
    """A network of which every process computes its rows; called, and asked for anything else, as
    the network itself. Calls without gradients, of fewer than two rows a process, or with inputs
    that are not all of as many rows are computed as a whole in each.
    """

    def __init__(self, net: Any, ranks: Ranks) -> None:
        self._net, self._ranks = net, ranks

    def __getattr__(self, name: str) -> Any:
        return getattr(self._net, name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the network gives for all rows."""
        leaves, form = tree_flatten((args, kwargs))
        counts = [len(v) for v in leaves if isinstance(v, Tensor) and v.ndim]
        rows = counts[0] if len(set(counts)) == 1 else 0
        if not torch.is_grad_enabled() or rows < 2 * self._ranks.size:
            return self._net(*args, **kwargs)
        share = share_of(rows, self._ranks, len(counts))
        self._ranks.shared += 1
        taken = [_take(v, share) if isinstance(v, Tensor) and v.ndim else v for v in leaves]
        args, kwargs = tree_unflatten(taken, form)
        with OverAllRows(share):
            given = self._net(*args, **kwargs)
        results, form = tree_flatten(given)
        return tree_unflatten([_gathered(v, share) for v in results], form)


def _take(whole: Tensor, share: Share) -> Tensor:
    return Take.apply(whole, share) if whole.requires_grad else share.pick(whole, 1)


def _gathered(value: Any, share: Share) -> Any:
    if not isinstance(value, Tensor):
        if isinstance(value, PLAIN):
            return value
        raise UserError(ACROSS)
    if not value.ndim or not share.times(len(value)):
        raise UserError(ACROSS)
    return Gather.apply(value, share)


def gather_rows(value: Tensor, share: Share) -> Tensor:
    """Return the rows [rows * k, ...] of all processes, of which `value` [mine * k, ...] are those
    of here.
    """
    k, most = share.times(len(value)), max(share.sizes)
    padded = value.detach().contiguous()
    if short := k * (most - share.mine):
        padded = torch.cat([padded, padded.new_zeros(short, *value.shape[1:])])
    parts = [torch.empty_like(padded) for _ in share.sizes]
    dist.all_gather(parts, padded)
    each = zip(parts, share.sizes, strict=True)
    return share.join([part[: k * size] for part, size in each], k)


class Gather(torch.autograd.Function):
    """Rows of here -> those of all. Backward: the gradient of the rows of here, times the number of
    processes, by which DDP divides.
    """

    @staticmethod
    def forward(ctx: Any, value: Tensor, share: Share) -> Tensor:
        """Torch's way to say what it computes."""
        ctx.share, ctx.k = share, share.times(len(value))
        return gather_rows(value, share)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        """Torch's way to say its gradient."""
        return ctx.share.pick(grad, ctx.k) * len(ctx.share.sizes), None


class Take(torch.autograd.Function):
    """All rows -> those of here. Backward: the gradients of all, as they are outside a call."""

    @staticmethod
    def forward(ctx: Any, whole: Tensor, share: Share) -> Tensor:
        """Torch's way to say what it computes."""
        ctx.share = share
        return share.pick(whole, 1).clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        """Torch's way to say its gradient."""
        return gather_rows(grad, ctx.share) / len(ctx.share.sizes), None


class Sum(torch.autograd.Function):
    """The sum over all processes; so is its gradient."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        """Torch's way to say what it computes."""
        total = value.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # type: ignore[override]
        """Torch's way to say its gradient."""
        total = grad.clone()
        dist.all_reduce(total)
        return total


class OverAllRows(TorchFunctionMode):
    """Inside, what torch does across rows is done over those of all processes, and what it draws by
    row is drawn for all.
    """

    def __init__(self, share: Share) -> None:
        super().__init__()
        self.share = share

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        does = INSTEAD.get(func)
        if does is None:
            return func(*args, **kwargs or {})
        return does(self.share, func, args, kwargs or {})


def _draw_like(share: Share, func: Any, args: Any, kwargs: Any) -> Any:
    """`randn_like(x)` and its kin."""
    like, *rest = args
    k = share.times(len(like)) if like.ndim else 0
    if not k:
        return func(*args, **kwargs)
    return share.pick(func(_whole(like, share, k), *rest, **kwargs), k)


def _draw_size(at: int) -> Callable[..., Any]:
    """`rand(size)` and its kin, the size from argument `at` on, as numbers or as one tuple."""

    def draw(share: Share, func: Any, args: Any, kwargs: Any) -> Any:
        named = "size" in kwargs
        given = kwargs["size"] if named else args[at:]
        size = (
            tuple(given[0]) if len(given) == 1 and not isinstance(given[0], int) else tuple(given)
        )
        k = share.times(size[0]) if size else 0
        if not k:
            return func(*args, **kwargs)
        size = (k * share.rows, *size[1:])
        rest = {key: v for key, v in kwargs.items() if key != "size"}
        return share.pick(func(*args[:at], size, **rest), k)

    return draw


def _fill(share: Share, func: Any, args: Any, kwargs: Any) -> Any:
    """`x.uniform_()` and its kin."""
    into, *rest = args
    k = share.times(len(into)) if into.ndim else 0
    if not k:
        return func(*args, **kwargs)
    with torch.no_grad():
        into.copy_(share.pick(func(_whole(into, share, k), *rest, **kwargs), k))
    return into


def _drop(share: Share, func: Any, args: Any, kwargs: Any) -> Any:
    """`F.dropout`: the mask is that of the whole batch."""
    given = dict(zip(("input", "p", "training", "inplace"), args)) | kwargs
    x, p = given["input"], given.get("p", 0.5)
    k = share.times(len(x)) if x.ndim else 0
    if not given.get("training", True) or p == 0 or not k:
        return func(*args, **kwargs)
    return x * share.pick(func(_whole(x, share, k).fill_(1), p, True), k)


def _normalise(share: Share, func: Any, args: Any, kwargs: Any) -> Any:
    """`F.batch_norm` with the mean and variance of the whole batch."""
    names = ("x", "mean", "var", "weight", "bias", "training", "momentum", "eps")
    given = dict(zip(names, args)) | {
        {"input": "x", "running_mean": "mean", "running_var": "var"}.get(k, k): v
        for k, v in kwargs.items()
    }
    if not given.get("training", False):
        return func(*args, **kwargs)
    x = given["x"]
    k = share.times(len(x))
    if not k:
        raise UserError(ACROSS)
    dims = [0, *range(2, x.ndim)]
    form = (1, -1, *(1,) * (x.ndim - 2))
    count = share.rows * k * (x[0, 0].numel() if x.ndim > 2 else 1)
    mean = Sum.apply(x.float().sum(dims)) / count
    centred = x - mean.view(form)
    var = Sum.apply(centred.float().square().sum(dims)) / count
    if given.get("mean") is not None:
        with torch.no_grad():
            pace = given.get("momentum", 0.1)
            given["mean"].lerp_(mean.to(given["mean"].dtype), pace)
            given["var"].lerp_((var * count / max(count - 1, 1)).to(given["var"].dtype), pace)
    out = centred * (var + given.get("eps", 1e-5)).rsqrt().view(form)
    if given.get("weight") is not None:
        out = out * given["weight"].view(form)
    return (out + given["bias"].view(form) if given.get("bias") is not None else out).to(x.dtype)


def _attend(share: Share, func: Any, args: Any, kwargs: Any) -> Any:
    """Attention, which draws inside where nobody sees it."""
    if func is F.scaled_dot_product_attention:
        dropout = kwargs.get("dropout_p", args[4] if len(args) > 4 else 0.0)
    else:
        training = kwargs.get("training", args[13] if len(args) > 13 else True)
        dropout = training and kwargs.get("dropout_p", args[10] if len(args) > 10 else 0.0)
    if dropout:
        raise UserError(ATTENDS)
    return func(*args, **kwargs)


def _whole(like: Tensor, share: Share, k: int) -> Tensor:
    """Return an empty tensor of the whole batch, laid out in memory as the rows of here are, since
    random numbers are given out in that order.
    """
    made = torch.empty((k * share.rows, *like.shape[1:]), dtype=like.dtype, device=like.device)
    for dims, last in ((4, torch.channels_last), (5, torch.channels_last_3d)):
        if (
            like.ndim == dims
            and like.is_contiguous(memory_format=last)
            and not like.is_contiguous()
        ):
            return made.contiguous(memory_format=last)
    return made


INSTEAD: dict[Any, Callable[..., Any]] = {
    **dict.fromkeys((torch.randn_like, torch.rand_like, torch.randint_like), _draw_like),
    **dict.fromkeys((torch.randn, torch.rand), _draw_size(0)),
    **dict.fromkeys(
        (Tensor.normal_, Tensor.uniform_, Tensor.bernoulli_, Tensor.exponential_), _fill
    ),
    **dict.fromkeys((F.scaled_dot_product_attention, F.multi_head_attention_forward), _attend),
    F.dropout: _drop,
    F.batch_norm: _normalise,
}

"""The loss of a context-encoding autoencoder: to redraw, and to fill holes."""

from __future__ import annotations

from torch import Tensor

from core.nets.losses.elbo import gaussian_kl_by_axis


def context_encoding(
    x: Tensor,
    back: Tensor,
    filled: Tensor,
    mu: Tensor,
    log_sd: Tensor,
    beta: float,
    holes: float,
) -> dict[str, Tensor]:
    """(1 - holes) (|back - x| + beta KL) + holes |filled - x|, all means over elements.

    x, back (redrawn from x) and filled (redrawn from a copy with holes) [b,C,H,W]; mu, log_sd
    [b,d]; `holes` in [0, 1]. Gives 0-d tensors: the loss and its three terms. Chatterjee et al.
    2022, equation 4.
    """
    error = (back - x).abs().mean()
    kl = gaussian_kl_by_axis(mu, 2 * log_sd).mean()
    fill = (filled - x).abs().mean()
    loss = (1 - holes) * (error + beta * kl) + holes * fill
    return {"loss": loss, "reconstruction": error, "kl": kl, "hole filling": fill}

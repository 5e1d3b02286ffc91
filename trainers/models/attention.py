"""Attention: torch's kernels behind one function, windows in blocks, and rotary positions."""

import torch
from torch import Tensor
from torch.nn import functional as F

ROTARY_BASE = 10_000.0
"""Wavelengths run from 2 pi to about this many times 2 pi steps (RoFormer, section 3.2.2)."""


def attention(
    queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None, causal: bool = False
) -> Tensor:
    """Scaled dot-product attention; the one place that calls torch's fused kernels.

    Args:
        queries: (batch, heads, time, head size); `keys` and `values` may have another time.
        mask: True where a query may look, of a shape that expands to (batch, heads, query, key).
        causal: Look at no later key; then there is no mask.
    """
    return F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask, is_causal=causal)


def windowed_attention(
    queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor, *, window: int, causal: bool
) -> Tensor:
    """Attention in which a query sees keys less than `window` steps before it, and after it.

    A sequence much longer than the window is cut into blocks of that length, each of which looks at
    itself and its neighbours, so that cost and memory grow with time, not with its square.

    Args:
        queries: (batch, heads, time, head size), as `keys` and `values`.
        mask: (batch, time), True where real. Outputs of other steps are finite and mean nothing.
        causal: Look at no later key.

    Reference:
        Beltagy et al., "Longformer: the long-document Transformer", arXiv 2004.05150, section 3.1.
    """
    batch, heads, time, size = queries.shape
    if time <= window:
        if causal:  # padding comes last, so no real query sees it
            return attention(queries, keys, values, causal=True)
        return attention(queries, keys, values, mask[:, None, None, :])
    block, before, after = window, 1, 0 if causal else 1
    if time <= (before + 1 + after) * window:  # cutting would not pay
        block, before, after = time, 0, 0
    real = mask[:, None, :, None]
    # Queries at padding look at padding: a query that saw nothing would give NaN.
    alike = _blocks(real, block, 0, 0) == _blocks(real, block, before, after).mT
    mixed = attention(
        _blocks(queries, block, 0, 0),
        _blocks(keys, block, before, after),
        _blocks(values, block, before, after),
        alike & within_window(alike, before * block, window, causal),
    )
    whole = mixed.view(batch, -1, heads, block, size).transpose(1, 2).flatten(2, 3)
    return whole[:, :, :time]


def _blocks(x: Tensor, block: int, before: int, after: int) -> Tensor:
    """Cut into blocks, each with so many blocks before and after it; zeros around the whole.

    (batch, heads, time, size) -> (batch * blocks, heads, (before + 1 + after) * block, size).
    """
    batch, heads, time, size = x.shape
    padded = F.pad(x, (0, 0, before * block, -time % block + after * block))
    blocks = padded.view(batch, heads, -1, block, size)
    count = blocks.shape[2] - before - after
    shifted = [blocks[:, :, first : first + count] for first in range(before + 1 + after)]
    return torch.cat(shifted, dim=3).transpose(1, 2).flatten(0, 1)


def within_window(like: Tensor, first: int, window: int, causal: bool) -> Tensor:
    """Whether a query stands near enough to see a key, (query, key).

    Args:
        like: Anything (..., query, key).
        first: The place of the first query among the keys.
    """
    queries, keys = like.shape[-2:]
    query = torch.arange(first, first + queries, device=like.device).unsqueeze(1)
    distance = query - torch.arange(keys, device=like.device)
    return (distance < window) & (distance > (-1 if causal else -window))


def rotate(x: Tensor, first: int) -> Tensor:
    """Turn pairs of features by angles that grow with the step, so that products see distances.

    Args:
        x: (..., time, size) with an even size; feature i is paired with feature i + size / 2.
        first: The position of the first step. Only differences of positions matter.

    Reference:
        Su et al., "RoFormer: enhanced Transformer with rotary position embedding", arXiv
        2104.09864, section 3.2.
    """
    time, half = x.shape[-2], x.shape[-1] // 2
    # In float64, because an angle of thousands of radians has few digits left in float32.
    place = torch.arange(first, first + time, dtype=torch.float64, device=x.device)
    pair = torch.arange(half, dtype=torch.float64, device=x.device)
    angle = place.unsqueeze(1) * ROTARY_BASE ** (-pair / half)
    cosine, sine = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    left, right = x[..., :half], x[..., half:]
    return torch.cat((left * cosine - right * sine, left * sine + right * cosine), dim=-1)

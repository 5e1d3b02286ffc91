"""Small parts that several families share: dropout by key, reversal and zeros within a mask."""

from typing import Final

import torch
from torch import Tensor, nn

from trainers.randomness import key

# The two multipliers of the 32-bit murmur finaliser, as numbers of int32, whose products wrap.
_FIRST_FACTOR: Final = 0x85EBCA6B - 2**32
_SECOND_FACTOR: Final = 0xC2B2AE35 - 2**32
_LEVELS: Final = 2**16
"""Numbers that a hash of an element may take."""


class Dropout(nn.Module):
    """Dropout whose mask is a hash of (key, element), so it needs no random stream.

    The rate and the key are 0-d buffers: trials trained as one array differ in them, and a trial
    draws the same mask alone, in an array, or resumed. The key is set once per training step by
    `set_dropout_step`; until then, and in evaluation, see `forward`.

    Args:
        rate: Share of elements set to zero, in [0, 1).
        same_over_time: One mask for all time steps of a sequence.

    Reference:
        Gal and Ghahramani, "A theoretically grounded application of dropout in recurrent neural
        networks", NeurIPS 2016 (`same_over_time`).
    """

    rate: Tensor
    key: Tensor

    def __init__(self, rate: float, *, same_over_time: bool = False) -> None:
        super().__init__()
        if not 0 <= rate < 1:
            raise ValueError(f"a dropout rate must be at least 0 and below 1, got {rate}")
        self.same_over_time = same_over_time
        self.active = rate > 0
        """A Python value, so that a rate of 0 costs nothing; an array of trials sets it to True."""
        self.register_buffer("rate", torch.tensor(float(rate)), persistent=False)
        self.register_buffer("key", torch.tensor(0), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Zero a share of `x` and scale the rest up in training; `x` itself in evaluation.

        Args:
            x: Any shape; (batch, time, size) when the mask is the same over time.
        """
        if not (self.training and self.active):
            return x
        shape = torch.Size((x.shape[0], 1, *x.shape[2:])) if self.same_over_time else x.shape
        dropped = (self.rate * _LEVELS - _LEVELS // 2).round().clamp(max=_LEVELS // 2 - 1)
        keep = _by_step(self._hash(shape.numel()), shape) >= dropped.to(torch.int16)
        return x * torch.where(keep, (1 / (1 - self.rate)).to(x.dtype), 0.0)

    def _hash(self, elements: int) -> Tensor:
        """16 pseudo-random bits of each of so many elements, as int16.

        The murmur3 finaliser of every second element's number, of which each of the two has a half;
        with one half of the key before its first and the other before its second round, so that
        keys do not merely permute one sequence.
        """
        device = self.key.device
        bits = torch.arange((elements + 1) // 2, dtype=torch.int32, device=device)
        bits = bits ^ self.key.to(torch.int32)
        bits ^= (bits >> 16) & 0xFFFF
        bits *= _FIRST_FACTOR
        bits ^= (self.key >> 32).to(torch.int32)
        bits ^= (bits >> 13) & 0x7FFFF
        bits *= _SECOND_FACTOR
        bits ^= (bits >> 16) & 0xFFFF
        return bits.view(torch.int16)[:elements]

    def extra_repr(self) -> str:
        """What `print(module)` shows."""
        return f"same_over_time={self.same_over_time}"


def _by_step(elements: Tensor, shape: torch.Size) -> Tensor:
    """In `shape`, one step after another: how far a batch is padded must not change an element."""
    if len(shape) < 2:
        return elements.view(shape)
    rows, steps, *rest = shape
    return elements.view(steps, rows, *rest).transpose(0, 1)


def set_dropout_step(model: nn.Module, seed: int, step: int) -> None:
    """Give every `Dropout` in `model` the key of this training step; places differ by their name.

    Args:
        step: Number of optimiser steps done before this one.
    """
    for place, module in model.named_modules():
        if isinstance(module, Dropout) and module.active:
            module.key.fill_(key(seed, "dropout", step, place))


def reversed_steps(mask: Tensor) -> Tensor:
    """For each step the step it changes places with when a sequence is reversed in its own length.

    Padding stays where it is, so the same numbers also undo the reversal.

    Args:
        mask: (batch, time), True where real; padding comes last.

    Returns:
        (batch, time) int64, for `reorder`.
    """
    step = torch.arange(mask.shape[1], device=mask.device)
    return torch.where(mask, mask.sum(dim=1, keepdim=True) - 1 - step, step)


def reorder(x: Tensor, steps: Tensor) -> Tensor:
    """`x` (batch, time, size) with the time steps taken in the order `steps` (batch, time)."""
    return x.gather(1, steps.unsqueeze(2).expand(-1, -1, x.shape[2]))


def zero_padding(y: Tensor, mask: Tensor) -> Tensor:
    """`y` (batch, time, size) with zeros where `mask` (batch, time) is False."""
    return y.masked_fill(~mask.unsqueeze(2), 0.0)

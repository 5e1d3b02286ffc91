"""What a training says of itself: gradients that vanish or explode, units that saturate.

Taken once per epoch, so that it costs nothing measurable; over single steps only two numbers are
kept, on the device.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch import Tensor, nn

from trainers.training.weights import Weights

VANISHED: Final = 1e-7
"""Gradients vanish when the first layer gets less than this share of what the last one gets."""
EXPLODED: Final = 100
"""Gradients explode when most are clipped and the largest is so many times the allowed norm; less
than that, most are clipped in many a healthy training too."""
SATURATED: Final = 0.99
"""A unit bounded by 1 is saturated beyond this: a tanh there passes on 2 % of its gradient."""
EXAMPLES: Final = 32
"""How many examples saturation is measured on."""
BINS: Final = 8
"""Into so many equal parts sequences are divided, to see how gradients change over time."""


class GradientWatch:
    """How large the gradients of an epoch were before clipping, and what the last step did.

    Args:
        vectors: (members, P), the weights that are trained.
        layers: Which part of them belongs to which module, see `Weights`.
        clip_norm: Of all members, or (members, 1).
    """

    def __init__(self, vectors: Tensor, weights: Weights, clip_norm: float | Tensor) -> None:
        self._vectors = vectors
        self._weights = weights
        self.clip_norm = clip_norm
        self._steps = 0
        self._clipped = vectors.new_zeros(len(vectors), 1)
        self._largest = vectors.new_zeros(len(vectors), 1)
        self._gradient_norms = vectors.new_zeros(len(vectors), len(weights.layers))
        self._change = vectors.new_zeros(len(vectors))

    def add(self, norm: Tensor) -> None:
        """Count one step, whose gradients had the norms (members, 1) before clipping."""
        self._steps += 1
        self._clipped += norm > self.clip_norm
        torch.maximum(self._largest, norm, out=self._largest)

    @contextmanager
    def last_step(self, gradient: Tensor) -> Iterator[None]:
        """Around the last update of the epoch, with its gradient (members, P) before clipping."""
        self._gradient_norms = self._weights.layer_norms(gradient)
        before = self._vectors.clone()
        yield
        self._change = (self._vectors - before).norm(dim=1) / before.norm(dim=1)

    def report(self, member: int = 0) -> dict[str, Any]:
        """Plain JSON, what has no finite value as a very large one; waits for the device."""
        names = [layer.name for layer in self._weights.layers]
        norms = self._gradient_norms[member].nan_to_num().tolist()
        return {
            "gradient_norms": dict(zip(names, norms, strict=True)),
            "largest_gradient_norm": self._largest[member].nan_to_num().item(),
            "clipped_share": self._clipped[member].item() / max(self._steps, 1),
            "update_ratio": self._change[member].nan_to_num().item(),
        }

    def describe(self, member: int, clip_norm: float) -> str:
        """A member's steps so far in words, for a training that ended."""
        if not self._steps:
            return "it was the first step of the epoch"
        share = self._clipped[member].item() / self._steps
        return (
            f"in the {self._steps} steps before, gradients reached a norm of "
            f"{self._largest[member].item():.3g} and {share:.0%} of them were clipped to "
            f"{clip_norm:g}"
        )


class SaturationProbe:
    """The share of a backbone's outputs that are saturated, seen where a head takes them up."""

    def __init__(self) -> None:
        self._seen: Tensor | None = None

    def look(self, y: Tensor, mask: Tensor) -> None:
        """At what the head was given, (batch, time, size); only the first batch counts."""
        if self._seen is None:
            self._seen = y[:EXAMPLES][mask[:EXAMPLES]]

    def share(self) -> float | None:
        """In [0, 1]; None where outputs are not bounded by 1, so that nothing can saturate."""
        if self._seen is None or self._seen.abs().max().item() > 1 + 1e-6:
            return None
        return (self._seen.abs() > SATURATED).float().mean().item()


@contextmanager
def taken_up(head: nn.Module) -> Iterator[list[Tensor]]:
    """What `head` is given first inside the block: the backbone's outputs, and their mask."""
    seen: list[Tensor] = []

    def look(_head: nn.Module, taken: tuple[Tensor, ...]) -> None:
        if not seen:
            seen.extend((taken[0].detach(), taken[1]))

    handle = head.register_forward_pre_hook(look)
    try:
        yield seen
    finally:
        handle.remove()


class ReachProbe:
    """How much of the loss of one batch comes from earlier and from later inputs.

    What is measured is the gradient with respect to what the backbone is given at every step, by
    means of a nudge of 0 that is added to it. The gradient has passed through everything between
    that step and the loss, in whatever kernel; the outputs' own gradient would not have passed
    through the recurrence.
    """

    def __init__(self) -> None:
        self._bins: list[list[float]] = []

    def forget(self) -> None:
        """Nothing has been seen."""
        self._bins = []

    def take(self, gradient: Tensor, mask: Tensor) -> None:
        """See the gradients of the next members' nudges, (members, batch, time, size).

        Args:
            mask: (batch, time) bool, or (members, batch, time).
        """
        squares = gradient.float().square().sum(3)
        masks = mask.expand(squares.shape)
        binned = [_binned(*each).sqrt() for each in zip(squares, masks, strict=True)]
        self._bins += [bins.nan_to_num().tolist() for bins in binned]

    def report(self, member: int = 0) -> dict[str, Any]:
        """The root mean square of the gradient's norms in each part of the sequences, in order."""
        bins = self._bins[member] if self._bins else []
        quarter = max(len(bins) // 4, 1)
        first, last = _mean(bins[:quarter]), _mean(bins[-quarter:])
        return {
            "gradient_over_time": bins,
            "gradient_reach": first / last if last > 0 else None,
        }


@contextmanager
def nudged(embed: nn.Module, nudge: Tensor | None) -> Iterator[None]:
    """Add `nudge` to the first batch that leaves `embed` for the backbone inside the block."""
    if nudge is None:
        yield
        return
    left = [nudge]

    def add(_module: nn.Module, _inputs: tuple[Tensor], x: Tensor) -> Tensor:
        return x + left.pop() if left else x

    handle = embed.register_forward_hook(add)
    try:
        yield
    finally:
        handle.remove()


def _binned(squares: Tensor, mask: Tensor) -> Tensor:
    """(bins,): means over equal parts of every sequence, however long it is.

    Args:
        squares: (batch, time).
        mask: (batch, time) bool, True where real.
    """
    lengths = mask.sum(1, keepdim=True)
    bins = min(BINS, int(lengths.max()))
    places = torch.arange(squares.shape[1], device=mask.device) * bins // lengths.clamp(min=1)
    places = places.clamp(max=bins - 1)
    zeros = squares.new_zeros(bins)
    sums = zeros.index_add(0, places[mask], squares[mask])
    return sums / zeros.index_add(0, places[mask], torch.ones_like(squares[mask])).clamp(min=1)


def _mean(values: list[float]) -> float:
    return sum(values) / max(len(values), 1)


def notes(report: dict[str, Any], clip_norm: float) -> list[str]:
    """What of `GradientWatch.report` a person should know, one sentence each."""
    found = (
        _vanishing(report["gradient_norms"]),
        _vanishing_over_time(report["gradient_over_time"], report["gradient_reach"]),
        _clipped(report, clip_norm),
    )
    return [note for note in found if note is not None]


def _vanishing(norms: dict[str, float]) -> str | None:
    (first, low), *_, (last, high) = [*norms.items(), *norms.items()]
    if low >= VANISHED * high:
        return None
    return f"gradients vanish: {first} gets {low:.1e} where {last} gets {high:.1e}"


def _vanishing_over_time(bins: list[float], reach: float | None) -> str | None:
    if reach is None or reach >= VANISHED:
        return None
    return (
        f"gradients vanish over time: the beginning of sequences gets {bins[0]:.1e} where their "
        f"end gets {bins[-1]:.1e}"
    )


def _clipped(report: dict[str, Any], clip_norm: float) -> str | None:
    share, largest = report["clipped_share"], report["largest_gradient_norm"]
    if share <= 0.5:
        return None
    what = "gradients explode" if largest > EXPLODED * clip_norm else "`clip_norm` rules the steps"
    return (
        f"{what}: {share:.0%} of them were clipped to {clip_norm:g}, "
        f"the largest norm was {largest:.3g}"
    )

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
    """How large the gradients of an epoch were before clipping, and what the last step did."""

    def __init__(self, weights: Weights, clip_norm: float) -> None:
        self._weights = weights
        self.clip_norm = clip_norm
        self._steps = 0
        self._clipped = weights.vector.new_zeros(1)
        self._largest = weights.vector.new_zeros(1)
        self._gradient_norms = weights.vector.new_zeros(len(weights.layers))
        self._change = weights.vector.new_zeros(1)

    def add(self, norm: Tensor) -> None:
        """Count one step, whose gradient had the norm (1,) before clipping."""
        self._steps += 1
        self._clipped += norm > self.clip_norm
        torch.maximum(self._largest, norm, out=self._largest)

    @contextmanager
    def last_step(self, gradient: Tensor) -> Iterator[None]:
        """Around the last update of the epoch, with its gradient before clipping."""
        self._gradient_norms = self._weights.layer_norms(gradient)
        before = self._weights.vector.clone()
        yield
        self._change = (self._weights.vector - before).norm() / before.norm()

    def report(self) -> dict[str, Any]:
        """Plain JSON, what has no finite value as a very large one; waits for the device."""
        names = [layer.name for layer in self._weights.layers]
        norms = self._gradient_norms.nan_to_num().tolist()
        return {
            "gradient_norms": dict(zip(names, norms, strict=True)),
            "largest_gradient_norm": self._largest.nan_to_num().item(),
            "clipped_share": self._clipped.item() / max(self._steps, 1),
            "update_ratio": self._change.nan_to_num().item(),
        }

    def describe(self) -> str:
        """The steps so far in words, for a training that ended."""
        if not self._steps:
            return "it was the first step of the epoch"
        share = self._clipped.item() / self._steps
        return (
            f"in the {self._steps} steps before, gradients reached a norm of "
            f"{self._largest.item():.3g} and {share:.0%} of them were clipped to {self.clip_norm:g}"
        )


class SaturationProbe:
    """The share of a backbone's outputs that are saturated, seen where a head takes them up."""

    def __init__(self) -> None:
        self._seen: Tensor | None = None

    @contextmanager
    def watching(self, head: nn.Module) -> Iterator[None]:
        """Look at the first batch that `head` takes up inside the block."""
        handle = head.register_forward_pre_hook(self._look)
        try:
            yield
        finally:
            handle.remove()

    def _look(self, _head: nn.Module, taken: tuple[Tensor, ...]) -> None:
        if self._seen is None:
            y, mask = taken[0].detach(), taken[1]
            self._seen = y[:EXAMPLES][mask[:EXAMPLES]]

    def share(self) -> float | None:
        """In [0, 1]; None where outputs are not bounded by 1, so that nothing can saturate."""
        if self._seen is None or self._seen.abs().max().item() > 1 + 1e-6:
            return None
        return (self._seen.abs() > SATURATED).float().mean().item()


class ReachProbe:
    """How much of the loss of one batch comes from earlier and from later inputs.

    What is measured is the gradient with respect to what the backbone is given at every step. It
    has passed through everything between that step and the loss, in whatever kernel; the outputs'
    own gradient would not have passed through the recurrence.
    """

    def __init__(self) -> None:
        self._inputs: Tensor | None = None
        self._bins: list[float] = []

    @contextmanager
    def watching(self, embed: nn.Module) -> Iterator[None]:
        """Look at the first batch that leaves `embed` for the backbone inside the block."""
        self._inputs = None
        handle = embed.register_forward_hook(self._look)
        try:
            yield
        finally:
            handle.remove()

    def _look(self, _module: nn.Module, _inputs: tuple[Tensor], x: Tensor) -> Tensor:
        if self._inputs is not None:
            return x
        self._inputs = x if x.requires_grad else x.detach().requires_grad_()
        return self._inputs

    def take(self, loss: Tensor, mask: Tensor) -> None:
        """Measure the gradient of `loss`, which the watched batch with this mask has led to."""
        if self._inputs is None:  # a model without an embedding that is called
            return
        (gradient,) = torch.autograd.grad(
            loss, [self._inputs], retain_graph=True, materialize_grads=True
        )
        squares = gradient.float().square().sum(2)
        self._bins = _binned(squares, mask).sqrt().nan_to_num().tolist()
        self._inputs = None

    def report(self) -> dict[str, Any]:
        """The root mean square of the gradient's norms in each part of the sequences, in order."""
        quarter = max(len(self._bins) // 4, 1)
        first, last = _mean(self._bins[:quarter]), _mean(self._bins[-quarter:])
        return {
            "gradient_over_time": self._bins,
            "gradient_reach": first / last if last > 0 else None,
        }


def _binned(squares: Tensor, mask: Tensor) -> Tensor:
    """(bins,): means over equal parts of every sequence, however long it is.

    Args:
        squares: (batch, time).
        mask: (batch, time) bool, True where real.
    """
    lengths = mask.sum(1, keepdim=True)
    bins = min(BINS, squares.shape[1])
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

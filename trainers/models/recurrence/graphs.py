"""The loops as CUDA graphs: several steps are one launch, where they would be a hundred."""

from collections.abc import Iterator
from typing import Final

from torch import Tensor

from trainers.cuda_graphs import GRAPHS, Graphs
from trainers.models.recurrence.loops import Recurrence, Tensors

MOST_STEPS: Final = 16
"""Of one graph: enough that its launch hardly counts, and few enough to hold little memory."""


def graphed(loop: Recurrence, graphs: Graphs = GRAPHS) -> Recurrence:
    """What a loop computes, piece by piece, of which each is recorded once and then replayed."""
    found = _Graphed(loop, graphs)
    return Recurrence(found.forward, found.backward)


class _Graphed:
    def __init__(self, loop: Recurrence, graphs: Graphs) -> None:
        self._loop, self._graphs = loop, graphs

    def forward(self, gates: Tensor, first: Tensors, weights: Tensors) -> Tensors:
        """See `Recurrence`."""
        time = gates.shape[1]
        found: Tensors = ()
        for steps in pieces(time):
            part = self._graphs.run(self._forward, (gates[:, steps],), first, weights)
            found = found or tuple(_of_length(time, each) for each in part)
            for whole, each in zip(found, part, strict=True):
                whole[:, steps] = each
            first = _carried(found, first, steps.stop)
        return found

    def _forward(self, gates: Tensors, first: Tensors, weights: Tensors) -> Tensors:
        return self._loop.forward(gates[0], first, weights)

    def backward(
        self, of_states: Tensor, of_last: Tensors, kept: Tensors, first: Tensors, weights: Tensors
    ) -> tuple[Tensor, Tensors]:
        """See `Recurrence`."""
        time = of_states.shape[1]
        found: Tensors = ()
        for steps in reversed(list(pieces(time))):
            before = _carried(kept, first, steps.start)
            mine = tuple(each[:, steps] for each in kept)
            part, of_last = self._graphs.run(
                self._backward, (of_states[:, steps],), of_last, mine, before, weights
            )
            found = found or (_of_length(time, part),)
            found[0][:, steps] = part
        return found[0], tuple(each.clone() for each in of_last)

    def _backward(
        self, of_states: Tensors, of_last: Tensors, kept: Tensors, first: Tensors, weights: Tensors
    ) -> tuple[Tensor, Tensors]:
        return self._loop.backward(of_states[0], of_last, kept, first, weights)


def pieces(time: int) -> Iterator[slice]:
    """So many steps in powers of two, that a few graphs serve for every length."""
    start, size = 0, MOST_STEPS
    while start < time:
        while start + size > time:
            size //= 2
        yield slice(start, start + size)
        start += size


def _of_length(time: int, part: Tensor) -> Tensor:
    """Room for what (M, ..., B, size) there is of some steps for so many."""
    return part.new_empty(len(part), time, *part.shape[2:])


def _carried(kept: Tensors, first: Tensors, steps: int) -> Tensors:
    """The states after so many steps."""
    if steps == 0:
        return first
    return tuple(each[:, steps - 1] for each in kept[: len(first)])

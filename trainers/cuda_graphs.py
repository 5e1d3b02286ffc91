"""Functions of tensors as CUDA graphs: many small kernels for the price of one launch."""

import warnings
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import torch
from torch import Tensor

Groups = Sequence[Sequence[Tensor]]
Function = Callable[..., Any]
"""Of groups of tensors; gives tensors, in tuples."""


class Graph(Protocol):
    """What was recorded."""

    def replay(self) -> None:
        """Compute it again, from and to the memory that it was recorded with."""


Record = Callable[[Callable[[], Any]], tuple[Graph, Any]]
"""Records what a function does; gives the graph and what the function gave."""


def record(run: Callable[[], Any]) -> tuple[Graph, Any]:
    """As a CUDA graph, on the current device.

    Reference:
        PyTorch's notes on CUDA semantics, "CUDA graphs": first a run on a side stream, as what
        libraries set up at their first use cannot be recorded; the graph has memory of its own.
    """
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call] # torch leaves it so
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        run()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        found = run()
    return graph, found


class Graphs:
    """Functions recorded once for each set of shapes, and replayed from then on.

    Where one cannot be recorded, it and all others run as they are from then on, with a warning.

    Args:
        most: Graphs that are kept; beyond, the one that was not used for longest gives way.

    Attributes:
        usable: Whether everything could be recorded so far.
    """

    def __init__(self, most: int = 32, record: Record = record) -> None:
        self.usable = True
        self._most, self._record = most, record
        self._recorded: OrderedDict[object, _Recorded] = OrderedDict()

    def run(self, function: Function, *groups: Sequence[Tensor]) -> Any:
        """What `function` gives for these tensors, until its next run, which writes over it."""
        if not self.usable or _is_recording():
            return function(*groups)
        with torch.cuda.device_of(groups[0][0]):  # type: ignore[no-untyped-call] # torch leaves it so
            try:
                recorded = self._of_shapes(function, groups)
            except RuntimeError as error:
                self._give_up(error)
                return function(*groups)
            return recorded.replayed(groups)

    def _of_shapes(self, function: Function, groups: Groups) -> "_Recorded":
        shapes = [
            tuple((each.shape, each.dtype, each.device) for each in group) for group in groups
        ]
        key = (function, *shapes)
        recorded = self._recorded.pop(key, None) or _Recorded(function, groups, self._record)
        self._recorded[key] = recorded  # as the one that was used last
        if len(self._recorded) > self._most:
            self._recorded.popitem(last=False)
        return recorded

    def _give_up(self, error: Exception) -> None:
        self.usable = False
        self.forget()
        warnings.warn(
            f"CUDA graphs are not used here, which only costs speed: {error}",
            RuntimeWarning,
            stacklevel=3,
        )

    def forget(self) -> None:
        """Give back the memory of all graphs."""
        self._recorded.clear()


class _Recorded:
    """One function for one set of shapes, with the memory that it reads and writes."""

    def __init__(self, function: Function, groups: Groups, record: Record) -> None:
        self._held = [[each.clone().contiguous() for each in group] for group in groups]
        self._graph, self._found = record(lambda: function(*self._held))

    def replayed(self, groups: Groups) -> Any:
        """What the function gives for others of these shapes."""
        for held, group in zip(self._held, groups, strict=True):
            for mine, given in zip(held, group, strict=True):
                mine.copy_(given)
        self._graph.replay()
        return self._found


def _is_recording() -> bool:
    """Whether someone else records what is done now: a recording cannot hold another."""
    return torch.cuda.is_available() and torch.cuda.is_current_stream_capturing()


GRAPHS: Final = Graphs()
"""Those of this process."""

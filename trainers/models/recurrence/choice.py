"""Which way a recurrence is computed: on a GPU the fastest that is found to be right there.

A persistent kernel, where Triton is there and the hidden size is one it can hold; else the loop as
CUDA graphs. Either is compared with the loop at its first use, and left alone if it is wrong.
"""

import warnings
from collections.abc import Callable
from functools import cache, partial
from importlib import import_module
from importlib.util import find_spec
from textwrap import shorten
from typing import Final, NamedTuple

import torch
from torch import Tensor

from trainers.cuda_graphs import GRAPHS
from trainers.models.recurrence.graphs import graphed
from trainers.models.recurrence.loops import GATES, LOOPS, Recurrence, Tensors

KERNELS: Final = "trainers.models.recurrence.persistent"
"""Imported on a GPU alone, and where Triton is: builds of torch for CUDA bring it."""
TOLERANCE: Final = {torch.float64: 1e-9, torch.float32: 2e-3, torch.bfloat16: 3e-2}
"""How far results may be off, as a share of what they should be: by rounding, which for float32 may
be that of TensorFloat-32. What is wrong is off by far more."""


class Use(NamedTuple):
    """What a recurrence is computed for."""

    cell: str
    hidden_size: int
    dtype: torch.dtype
    device: torch.device


def fastest(cell: str, state: Tensor) -> Recurrence:
    """How a cell is best computed whose states are like this one, (..., hidden_size)."""
    if state.is_cuda and state.dtype in TOLERANCE:
        use = Use(cell, state.shape[-1], state.dtype, state.device)
        for way in WAYS.values():
            found = way(use)
            if found is not None:
                return found
    return LOOPS[cell]


@cache
def _kernel(use: Use) -> Recurrence | None:
    return trusted("the kernel in Triton", partial(_persistent, use), use)


def _persistent(use: Use) -> Recurrence | None:
    gpu = torch.cuda.get_device_properties(use.device)
    if gpu.major < 8 or find_spec("triton") is None:  # older ones have no bfloat16
        return None
    kernels, memory = import_module(KERNELS), gpu.shared_memory_per_multiprocessor
    if not kernels.fits(use.cell, use.hidden_size, use.dtype, memory):
        return None
    found: Recurrence = kernels.KERNELS[use.cell]
    return found


def _graphs(use: Use) -> Recurrence | None:
    return _graphed(use) if GRAPHS.usable else None


@cache
def _graphed(use: Use) -> Recurrence | None:
    return trusted("the loop as CUDA graphs", partial(graphed, LOOPS[use.cell]), use)


WAYS: Final[dict[str, Callable[[Use], Recurrence | None]]] = {
    "persistent kernel": _kernel,
    "CUDA graphs": _graphs,
}
"""The fastest first; None where one is not for that use. What is for every use is the loop."""


def trusted(name: str, build: Callable[[], Recurrence | None], use: Use) -> Recurrence | None:
    """What is built, if it computes what the loop does; else None, with a warning of why not.

    Raises:
        torch.OutOfMemoryError: There is no room to find out.
    """
    most = TOLERANCE[use.dtype]
    try:
        built = build()
        off = 0.0 if built is None else deviation(built, use, example(use))
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # of many types
        # a compiler's words may go on for pages
        why = f"fails: {type(error).__name__}: {shorten(str(error), 300)}"
    else:
        if off <= most:
            return built
        why = f"gives results that are off by {off:.2g}, of which rounding explains {most:g}"
    warnings.warn(
        f"{name} is not used for {use.cell} of {use.hidden_size} units in {use.dtype}, which only "
        f"costs speed: it {why}",
        RuntimeWarning,
        stacklevel=2,
    )
    return None


def deviation(tried: Recurrence, use: Use, given: list[Tensors]) -> float:
    """How far results and gradients are off those of the loop in float64, as a share of them.

    Args:
        given: See `example`.
    """
    loop, exact = LOOPS[use.cell], torch.float64
    (gates,), first, weights, (of_states,), of_last = (
        _placed(each, exact, "cpu") for each in given
    )
    # rounded, and then the same for both: a rectifier that was open would else be shut
    kept = _placed(_placed(loop.forward(gates, first, weights), use.dtype, "cpu"), exact, "cpu")
    of_gates, of_first = loop.backward(of_states, of_last, kept, first, weights)
    wanted = (*kept, of_gates, *of_first)
    there = [_placed(each, use.dtype, use.device) for each in (*given, kept)]
    (gates,), first, weights, (of_states,), of_last, same = there
    kept = tried.forward(gates, first, weights)
    of_gates, of_first = tried.backward(of_states, of_last, same, first, weights)
    found = _placed((*kept, of_gates, *of_first), exact, "cpu")
    shares = [(a - b).norm() / b.norm() for a, b in zip(found, wanted, strict=True)]
    return torch.stack(shares).max().item()


def example(use: Use, members: int = 2, time: int = 34, batch: int = 17) -> list[Tensors]:
    """Gates, first states, weights, and gradients of outputs and of last states, drawn at random.

    The batch fills no whole number of tiles, and so many steps take one graph twice.
    """
    random = torch.Generator().manual_seed(0)  # leaves the trainings' random numbers as they are

    def drawn(*shape: int, scale: float = 1.0) -> Tensor:
        return (scale * torch.randn(members, *shape, generator=random)).to(use.dtype)

    size, rows = use.hidden_size, GATES[use.cell] * use.hidden_size
    states = 2 if use.cell == "lstm" else 1
    weight, bias = drawn(rows, size, scale=size**-0.5), drawn(rows)
    first, of_last = (tuple(drawn(batch, size) for _ in range(states)) for _ in range(2))
    weights = (weight, bias) if use.cell == "gru" else (weight,)
    return [(drawn(time, batch, rows),), first, weights, (drawn(time, batch, size),), of_last]


def _placed(tensors: Tensors, dtype: torch.dtype, device: torch.device | str) -> Tensors:
    return tuple(each.to(device, dtype) for each in tensors)

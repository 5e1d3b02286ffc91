"""Recurrences as persistent kernels in Triton: one launch for all steps, forward and backward.

A program owns a member and a tile of the batch, and goes through the steps by itself: what it
carries stays in registers, the member's weights on the multiprocessor. It sees no other member, so
that what one computes does not depend, bit for bit, on how many there are.

Products take the type of the weights and are summed in float32, in which the states are carried.
Hidden sizes are filled up with zeros to a power of two.

In shapes, M stands for members, T for time, B for batch and H for hidden_size.

Reference:
    Pöppel, Beck and Hochreiter, "FlashRNN: I/O-aware optimization of traditional RNNs on modern
    hardware", ICLR 2025, for programs that own a recurrent matrix.
"""

from typing import Any, Final

import torch
import triton
import triton.language as tl
from torch import Tensor

from trainers.models.recurrence.loops import GATES, Recurrence, Tensors

TILE: Final = 16
"""Rows of a batch in a program, and the least width: Triton's products have no smaller side."""
TILES: Final = {"tanh": 4, "relu": 4, "gru": 11, "lstm": 13}
"""So many (TILE, width) has a backward pass in shared memory, beside the weights: what it reads for
the next step, and what it multiplies."""
WIDEST: Final = {torch.float32: 64, torch.bfloat16: 256}
"""Of each type. There are no tensor cores for float32, and registers hold no wider products."""
RESERVED_BYTES: Final = 1024
"""Of a multiprocessor's shared memory, what CUDA keeps of it for itself."""


def fits(cell: str, hidden_size: int, dtype: torch.dtype, memory_bytes: int) -> bool:
    """Whether a program fits into the shared memory of a multiprocessor.

    The weights of a member are read at every step; from farther away, every step would wait.
    """
    if _width(hidden_size) > WIDEST.get(dtype, 0):
        return False
    return shared_bytes(cell, hidden_size, dtype) + RESERVED_BYTES <= memory_bytes


def shared_bytes(cell: str, hidden_size: int, dtype: torch.dtype) -> int:
    """What a program takes of it at most."""
    width = _width(hidden_size)
    return (GATES[cell] * width + TILES[cell] * TILE) * width * dtype.itemsize


def _width(hidden_size: int) -> int:
    return max(TILE, 1 << (hidden_size - 1).bit_length())


# Parts of the kernels. `tl.sigmoid` is no primitive: whether it is for the interpreter or for the
# compiler is settled when Triton is first imported, and tests want both in one process.


@triton.jit
def _sigmoid(x):
    return 1 / (1 + tl.exp(-x))


@triton.jit
def _tanh(x):  # off by 1e-7 at most, near 0 too
    return 2 / (1 + tl.exp(-2 * x)) - 1


@triton.jit
def _load(places, here):
    return tl.load(places, mask=here, other=0.0).to(tl.float32)


@triton.jit
def _matrix(weights, size, width: tl.constexpr, turned: tl.constexpr):
    """The weights of one gate, (width, width)."""
    row, column = tl.arange(0, width)[:, None], tl.arange(0, width)[None, :]
    here = (row < size) & (column < size)
    places = column * size + row if turned else row * size + column
    return tl.load(weights + places, mask=here, other=0.0)


@triton.jit
def _product(x, matrix):
    return tl.dot(x.to(matrix.dtype), matrix, input_precision="ieee")


@triton.jit
def _tile(batch, size, width: tl.constexpr, rows: tl.constexpr):
    """The program's member; its rows (rows, 1), columns (1, width), and which of them there are."""
    member = tl.program_id(0).to(tl.int64)  # offsets may be beyond 2**31
    row = tl.program_id(1) * rows + tl.arange(0, rows)[:, None]
    column = tl.arange(0, width)[None, :]
    return member, row, column, (row < batch) & (column < size)


# Kernels. Two stages of a loop are in flight: what a step reads is fetched during the one before.
# `line` counts the rows (M, T, B) up to that of a step, and `one` is where it begins in
# tensors of H columns.


@triton.jit(do_not_specialize=["time", "batch"])
def _plain(
    gates, h_first, weight, states, time, batch, size,
    width: tl.constexpr, rows: tl.constexpr, relu: tl.constexpr,
):  # fmt: skip
    member, row, column, here = _tile(batch, size, width, rows)
    turned = _matrix(weight + member * size * size, size, width, True)
    h = _load(h_first + (member * batch + row) * size + column, here)
    line = member * time * batch + row
    for _step in tl.range(time, num_stages=2):
        one = line * size + column
        h = _load(gates + one, here) + _product(h, turned)
        h = tl.where(h < 0, 0.0, h) if relu else _tanh(h)  # NaN stays NaN
        tl.store(states + one, h, mask=here)
        line += batch


@triton.jit(do_not_specialize=["time", "batch"])
def _plain_backward(
    of_states, of_last, states, h_first, weight, of_gates, of_first, time, batch, size,
    width: tl.constexpr, rows: tl.constexpr, relu: tl.constexpr,
):  # fmt: skip
    member, row, column, here = _tile(batch, size, width, rows)
    matrix = _matrix(weight + member * size * size, size, width, False)
    end = (member * batch + row) * size + column
    of_h = _load(of_last + end, here)
    line = (member * time + time - 1) * batch + row
    for _step in tl.range(time, num_stages=2):
        one = line * size + column
        h = _load(states + one, here)
        of_h += _load(of_states + one, here)
        of_h *= tl.where(h > 0, 1.0, 0.0) if relu else 1 - h * h
        tl.store(of_gates + one, of_h, mask=here)
        of_h = _product(of_h, matrix)
        line -= batch
    tl.store(of_first + end, of_h, mask=here)


@triton.jit(do_not_specialize=["time", "batch"])
def _gru(
    gates, h_first, weight, bias, states, opened, proposed, products, time, batch, size,
    width: tl.constexpr, rows: tl.constexpr,
):  # fmt: skip
    member, row, column, here = _tile(batch, size, width, rows)
    weight += member * 3 * size * size
    to_reset = _matrix(weight, size, width, True)
    to_update = _matrix(weight + size * size, size, width, True)
    to_new = _matrix(weight + 2 * size * size, size, width, True)
    biases = bias + member * 3 * size + column + row * 0
    of_reset, of_update = _load(biases, here), _load(biases + size, here)
    of_product = _load(biases + 2 * size, here)
    h = _load(h_first + (member * batch + row) * size + column, here)
    line = member * time * batch + row
    for _step in tl.range(time, num_stages=2):
        one, two = line * size + column, line * 2 * size + column
        inputs = gates + line * 3 * size + column
        reset = _sigmoid(_load(inputs + size, here) + of_reset + _product(h, to_reset))
        update = _sigmoid(_load(inputs + 2 * size, here) + of_update + _product(h, to_update))
        product = of_product + _product(h, to_new)
        new = _tanh(_load(inputs, here) + reset * product)
        h = new + update * (h - new)
        tl.store(states + one, h, mask=here)
        tl.store(opened + two, reset, mask=here)
        tl.store(opened + two + size, update, mask=here)
        tl.store(proposed + one, new, mask=here)
        tl.store(products + one, product, mask=here)
        line += batch


@triton.jit(do_not_specialize=["time", "batch"])
def _gru_backward(
    of_states, of_last, states, opened, proposed, products, h_first, weight, bias, of_all, of_first,
    time, batch, size, width: tl.constexpr, rows: tl.constexpr,
):  # fmt: skip
    member, row, column, here = _tile(batch, size, width, rows)
    weight += member * 3 * size * size
    by_reset = _matrix(weight, size, width, False)
    by_update = _matrix(weight + size * size, size, width, False)
    by_new = _matrix(weight + 2 * size * size, size, width, False)
    end = (member * batch + row) * size + column
    of_h = _load(of_last + end, here)
    line = (member * time + time - 1) * batch + row
    for step in tl.range(time, num_stages=2):
        one, two = line * size + column, line * 2 * size + column
        reset, update = _load(opened + two, here), _load(opened + two + size, here)
        new, product = _load(proposed + one, here), _load(products + one, here)
        before = _load(states + one - batch * size, here & (step < time - 1))
        before += _load(h_first + end, here & (step == time - 1))
        of_h += _load(of_states + one, here)
        of_new = of_h * (1 - update) * (1 - new * new)
        of_product = of_new * reset
        of_reset = of_product * product * (1 - reset)
        of_update = of_h * (before - new) * update * (1 - update)
        found = of_all + line * 4 * size + column
        tl.store(found, of_new, mask=here)
        tl.store(found + size, of_reset, mask=here)
        tl.store(found + 2 * size, of_update, mask=here)
        tl.store(found + 3 * size, of_product, mask=here)
        of_h = of_h * update + _product(of_reset, by_reset)
        of_h += _product(of_update, by_update) + _product(of_product, by_new)
        line -= batch
    tl.store(of_first + end, of_h, mask=here)


@triton.jit(do_not_specialize=["time", "batch"])
def _lstm(
    gates, h_first, c_first, weight, states, cells, opened, time, batch, size,
    width: tl.constexpr, rows: tl.constexpr,
):  # fmt: skip
    member, row, column, here = _tile(batch, size, width, rows)
    weight += member * 4 * size * size
    to_enter = _matrix(weight, size, width, True)
    to_forget = _matrix(weight + size * size, size, width, True)
    to_propose = _matrix(weight + 2 * size * size, size, width, True)
    to_show = _matrix(weight + 3 * size * size, size, width, True)
    begin = (member * batch + row) * size + column
    h, c = _load(h_first + begin, here), _load(c_first + begin, here)
    line = member * time * batch + row
    for _step in tl.range(time, num_stages=2):
        one, four = line * size + column, line * 4 * size + column
        enter = _sigmoid(_load(gates + four, here) + _product(h, to_enter))
        forget = _sigmoid(_load(gates + four + size, here) + _product(h, to_forget))
        propose = _tanh(_load(gates + four + 2 * size, here) + _product(h, to_propose))
        show = _sigmoid(_load(gates + four + 3 * size, here) + _product(h, to_show))
        c = forget * c + enter * propose
        h = show * _tanh(c)
        tl.store(states + one, h, mask=here)
        tl.store(cells + one, c, mask=here)
        tl.store(opened + four, enter, mask=here)
        tl.store(opened + four + size, forget, mask=here)
        tl.store(opened + four + 2 * size, propose, mask=here)
        tl.store(opened + four + 3 * size, show, mask=here)
        line += batch


@triton.jit(do_not_specialize=["time", "batch"])
def _lstm_backward(
    of_states, of_h_last, of_c_last, states, cells, opened, h_first, c_first, weight,
    of_gates, of_h_first, of_c_first, time, batch, size, width: tl.constexpr, rows: tl.constexpr,
):  # fmt: skip
    member, row, column, here = _tile(batch, size, width, rows)
    weight += member * 4 * size * size
    by_enter = _matrix(weight, size, width, False)
    by_forget = _matrix(weight + size * size, size, width, False)
    by_propose = _matrix(weight + 2 * size * size, size, width, False)
    by_show = _matrix(weight + 3 * size * size, size, width, False)
    end = (member * batch + row) * size + column
    of_h, of_c = _load(of_h_last + end, here), _load(of_c_last + end, here)
    line = (member * time + time - 1) * batch + row
    for step in tl.range(time, num_stages=2):
        one, four = line * size + column, line * 4 * size + column
        enter, forget = _load(opened + four, here), _load(opened + four + size, here)
        propose = _load(opened + four + 2 * size, here)
        show = _load(opened + four + 3 * size, here)
        before = _load(cells + one - batch * size, here & (step < time - 1))
        before += _load(c_first + end, here & (step == time - 1))
        bounded = _tanh(_load(cells + one, here))
        of_h += _load(of_states + one, here)
        of_c += of_h * show * (1 - bounded * bounded)
        of_enter = of_c * propose * enter * (1 - enter)
        of_forget = of_c * before * forget * (1 - forget)
        of_propose = of_c * enter * (1 - propose * propose)
        of_show = of_h * bounded * show * (1 - show)
        tl.store(of_gates + four, of_enter, mask=here)
        tl.store(of_gates + four + size, of_forget, mask=here)
        tl.store(of_gates + four + 2 * size, of_propose, mask=here)
        tl.store(of_gates + four + 3 * size, of_show, mask=here)
        of_h = _product(of_enter, by_enter) + _product(of_forget, by_forget)
        of_h += _product(of_propose, by_propose) + _product(of_show, by_show)
        of_c = of_c * forget
        line -= batch
    tl.store(of_h_first + end, of_h, mask=here)
    tl.store(of_c_first + end, of_c, mask=here)


# The kernels as recurrences: what they are given stands in one order for all cells.


def _recurrence(
    kernel: Any, backward_kernel: Any, blocks: tuple[int, ...], of_gates: int, **constants: bool
) -> Recurrence:
    """A cell's.

    Args:
        blocks: Of H columns, in each of the tensors that `forward` gives.
        of_gates: Blocks of H columns in the gradients of the gates.
    """

    def forward(gates: Tensor, first: Tensors, weights: Tensors) -> Tensors:
        kept = tuple(_steps_of(gates, first[0], columns) for columns in blocks)
        _launch(kernel, first[0], ((gates,), first, weights, kept), constants)
        return kept

    def backward(
        of_states: Tensor, of_last: Tensors, kept: Tensors, first: Tensors, weights: Tensors
    ) -> tuple[Tensor, Tensors]:
        found = _steps_of(of_states, first[0], of_gates)
        of_first = tuple(each.new_empty(each.shape) for each in first)
        groups = ((of_states,), of_last, kept, first, weights, (found, *of_first))
        _launch(backward_kernel, first[0], groups, constants)
        return found, of_first

    return Recurrence(forward, backward)


def _steps_of(steps: Tensor, state: Tensor, blocks: int) -> Tensor:
    """Room for so many blocks of columns of all steps, (M, T, B, blocks * H)."""
    return steps.new_empty(*steps.shape[:3], blocks * state.shape[-1])


def _launch(
    kernel: Any, state: Tensor, groups: tuple[Tensors, ...], constants: dict[str, bool]
) -> None:
    """Run a kernel over states like this one, (M, B, H); what it writes to is without gaps."""
    members, batch, size = state.shape
    width, time = _width(size), groups[0][0].shape[1]
    tensors = [each.contiguous() for group in groups for each in group]
    warps = 4 if width <= 32 else 8
    with torch.cuda.device_of(state):
        kernel[(members, -(-batch // TILE))](
            *tensors, time, batch, size, width=width, rows=TILE, num_warps=warps, **constants
        )


KERNELS: Final = {
    "tanh": _recurrence(_plain, _plain_backward, (1,), 1, relu=False),
    "relu": _recurrence(_plain, _plain_backward, (1,), 1, relu=True),
    "gru": _recurrence(_gru, _gru_backward, (1, 2, 1, 1), 4),
    "lstm": _recurrence(_lstm, _lstm_backward, (1, 1, 4), 4),
}

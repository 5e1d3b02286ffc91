"""Recurrences of all members of an array at once, with backward passes written out.

Each is one operation of torch, of one layer in one direction; `choice` decides how it is
computed. The gradient of a weight is one product over all steps, after the last of them.

In shapes, M stands for members, T for time, B for batch and H for hidden_size.
"""

from typing import Any

import torch
from torch import Tensor
from torch.library import custom_op

from trainers.models.recurrence.choice import fastest


@custom_op("seqtune::plain_recurrence", mutates_args=())
def plain(gates: Tensor, h: Tensor, weight: Tensor, relu: bool) -> Tensor:
    """The states h' = tanh(gates + weight h), or with relu in place of tanh.

    Args:
        gates: (M, T, B, H) the inputs' part, biases included.
        h: (M, B, H) the first state.
        weight: (M, H, H).

    Returns:
        (M, T, B, H).
    """
    (states,) = fastest(_plain_cell(relu), h).forward(gates, (h,), (weight,))
    return states


def _plain_cell(relu: bool) -> str:
    return "relu" if relu else "tanh"


def _plain_backward(ctx: Any, of_states: Tensor) -> tuple[Tensor | None, ...]:
    h, weight, states = ctx.saved_tensors
    of_gates, (of_state,) = fastest(_plain_cell(ctx.relu), h).backward(
        of_states, (torch.zeros_like(h),), (states,), (h,), (weight,)
    )
    return of_gates, of_state, _of_weight(of_gates, h, states), None


@custom_op("seqtune::gru_recurrence", mutates_args=())
def gru(
    gates: Tensor, h: Tensor, weight: Tensor, bias: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A gated recurrent unit, whose reset gate comes after the product.

    Args:
        gates: (M, T, B, 3 H) the inputs' part of what is proposed, then of reset and update gate.
        h: (M, B, H) the first state.
        weight: (M, 3 H, H), in torch's order: reset, update, proposed.
        bias: (M, 3 H) of the states' part, in the same order.

    Returns:
        The states, (M, T, B, H), and what the backward pass needs: both gates (M, T, B, 2 H), what
        is proposed, and the states' part of that before the reset gate.
    """
    states, opened, proposed, products = fastest("gru", h).forward(gates, (h,), (weight, bias))
    return states, opened, proposed, products


def _gru_backward(ctx: Any, of_states: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
    h, weight, bias, *kept = ctx.saved_tensors
    of_all, (of_state,) = fastest("gru", h).backward(
        of_states, (torch.zeros_like(h),), tuple(kept), (h,), (weight, bias)
    )
    size = h.shape[-1]
    of_products = of_all[..., size:]
    of_weight = _of_weight(of_products, h, kept[0])
    return of_all[..., : 3 * size], of_state, of_weight, of_products.sum((1, 2))


@custom_op("seqtune::lstm_recurrence", mutates_args=())
def lstm(
    gates: Tensor, h: Tensor, c: Tensor, weight: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Long short-term memory.

    Args:
        gates: (M, T, B, 4 H) the inputs' part of input and forget gate, of what is proposed and of
            the output gate, biases included.
        h: (M, B, H) the first state.
        c: (M, B, H) the first cell.
        weight: (M, 4 H, H).

    Returns:
        The states, (M, T, B, H); the last cell; and what the backward pass needs: all cells, and
        the gates, (M, T, B, 4 H).
    """
    states, cells, opened = fastest("lstm", h).forward(gates, (h, c), (weight,))
    return states, cells[:, -1].clone(), cells, opened


def _lstm_backward(
    ctx: Any, of_states: Tensor, of_last: Tensor, *_: Any
) -> tuple[Tensor | None, ...]:
    h, c, weight, *kept = ctx.saved_tensors
    of_gates, (of_state, of_cell) = fastest("lstm", h).backward(
        of_states, (torch.zeros_like(h), of_last), tuple(kept), (h, c), (weight,)
    )
    return of_gates, of_state, of_cell, _of_weight(of_gates, h, kept[0])


def _of_weight(of_products: Tensor, h: Tensor, states: Tensor) -> Tensor:
    """The gradient of a weight, (M, G, H), from those of its products, (M, T, B, G)."""
    rest = of_products[:, 1:].flatten(1, 2).mT @ states[:, :-1].flatten(1, 2)
    return torch.baddbmm(rest, of_products[:, 0].mT, h)


def _keep_plain(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    _, h, weight, ctx.relu = inputs
    ctx.save_for_backward(h, weight, output)


def _keep_gru(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    ctx.save_for_backward(*inputs[1:], *output)


def _keep_lstm(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    states, _, cells, opened = output
    ctx.save_for_backward(*inputs[1:], states, cells, opened)


plain.register_autograd(_plain_backward, setup_context=_keep_plain)
gru.register_autograd(_gru_backward, setup_context=_keep_gru)
lstm.register_autograd(_lstm_backward, setup_context=_keep_lstm)

for operation in (plain, gru, lstm):
    for device in ("cpu", "cuda"):  # as torch's own recurrences
        operation.register_autocast(device, torch.bfloat16)

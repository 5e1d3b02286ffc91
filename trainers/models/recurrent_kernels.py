"""Recurrences of all members of an array at once, with backward passes written out.

Each is one operation of torch, of one layer in one direction. A step of all members is one batched
product and a few small operations; what does not hang on the step before is computed for several
steps at once, though of no more than a processor's cache holds.

In shapes, M stands for members, T for time, B for batch and H for hidden_size.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import torch
from torch import Tensor
from torch.library import custom_op

ELEMENTS: Final = {"cpu": 2**15, "cuda": 2**24}
"""Of what is computed for several steps at once, the most for each gate."""


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
    turned, states = weight.mT.contiguous(), gates.new_empty(gates.shape)
    function = torch.clamp_min if relu else torch.tanh
    rest = (0.0,) if relu else ()
    for of_input, state in zip(gates.unbind(1), states.unbind(1), strict=True):
        h = function(torch.baddbmm(of_input, h, turned), *rest, out=state)
    return states


def _plain_backward(ctx: Any, of_states: Tensor) -> tuple[Tensor | None, ...]:
    h, weight, states = ctx.saved_tensors
    of_gates = states.new_empty(states.shape)
    of_state = torch.zeros_like(h)
    for steps in _chunks(states):
        part = states[:, steps]
        slopes = (part > 0).to(part.dtype) if ctx.relu else part.square().neg_().add_(1)
        for of_output, slope, of_gate in _backwards(
            of_states[:, steps], slopes, of_gates[:, steps]
        ):
            torch.mul(of_state.add_(of_output), slope, out=of_gate)
            torch.bmm(of_gate, weight, out=of_state)
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
    size = h.shape[-1]
    turned, bias = weight.mT.contiguous(), bias.unsqueeze(1)
    opened = gates.new_empty(*gates.shape[:3], 2 * size)
    states, proposed, products = (gates.new_empty(*gates.shape[:3], size) for _ in range(3))
    of_state = gates.new_empty(len(gates), gates.shape[2], 3 * size)
    of_gate, of_product = of_state[..., : 2 * size], of_state[..., 2 * size :]
    of_new, of_both = gates[..., :size], gates[..., size:]
    reset, update = opened.chunk(2, dim=-1)
    held = (of_both, of_new, opened, reset, update, proposed, products, states)
    for both, new, gate, r, z, propose, product, state in zip(
        *(each.unbind(1) for each in held), strict=True
    ):
        torch.baddbmm(bias, h, turned, out=of_state)
        torch.add(both, of_gate, out=gate).sigmoid_()
        product.copy_(of_product)
        torch.addcmul(new, r, product, out=propose).tanh_()
        h = torch.lerp(propose, h, z, out=state)
    return states, opened, proposed, products


def _gru_backward(ctx: Any, of_states: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
    h, weight, states, opened, proposed, products = ctx.saved_tensors
    reset, update = opened.chunk(2, dim=-1)
    # of what is proposed, of both gates, and of the states' part of what is proposed
    of_all = states.new_empty(*states.shape[:3], 4, h.shape[-1])
    of_state = torch.zeros_like(h)
    for steps in _chunks(states):
        r, z, new = reset[:, steps], update[:, steps], proposed[:, steps]
        to_new = (1 - z).mul_(1 - new.square())
        to_product = to_new * r
        to_reset = (1 - r).mul_(to_product).mul_(products[:, steps])
        to_update = (_before(h, states, steps) - new).mul_(z).mul_(1 - z)
        factors = torch.stack((to_new, to_reset, to_update, to_product), dim=-2)
        for of_output, factor, gate, of_each in _backwards(
            of_states[:, steps], factors, z, of_all[:, steps]
        ):
            of_state.add_(of_output)
            torch.mul(of_state.unsqueeze(-2), factor, out=of_each)
            of_product = of_each[..., 1:, :].flatten(2)
            of_state.mul_(gate)
            torch.baddbmm(of_state, of_product, weight, out=of_state)
    flat = of_all.flatten(3)
    of_products = flat[..., h.shape[-1] :]
    of_weight = _of_weight(of_products, h, states)
    return flat[..., : 3 * h.shape[-1]], of_state, of_weight, of_products.sum((1, 2))


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
    size = h.shape[-1]
    turned, opened = weight.mT.contiguous(), gates.new_empty(gates.shape)
    states, cells = (gates.new_empty(*gates.shape[:3], size) for _ in range(2))
    of_gates = gates.new_empty(len(gates), gates.shape[2], 4 * size)
    of_new = of_gates[..., 2 * size : 3 * size]
    held = (gates, opened, *opened.chunk(4, dim=-1), cells, states)
    for of_input, gate, enter, forget, propose, show, cell, state in zip(
        *(each.unbind(1) for each in held), strict=True
    ):
        torch.baddbmm(of_input, h, turned, out=of_gates)
        torch.sigmoid(of_gates, out=gate)
        torch.tanh(of_new, out=propose)
        c = torch.mul(forget, c, out=cell).addcmul_(enter, propose)
        h = torch.tanh(c, out=state).mul_(show)
    return states, c.clone(), cells, opened


def _lstm_backward(
    ctx: Any, of_states: Tensor, of_last: Tensor, *_: Any
) -> tuple[Tensor | None, ...]:
    h, c, weight, states, cells, opened = ctx.saved_tensors
    gates = opened.chunk(4, dim=-1)
    of_all = states.new_empty(*states.shape[:3], 4, h.shape[-1])
    of_three, of_shown = of_all[..., :3, :], of_all[..., 3, :]
    of_state, of_cell = torch.zeros_like(h), of_last.clone()
    for steps in _chunks(states):
        enter, forget, propose, show = (gate[:, steps] for gate in gates)
        bounded = cells[:, steps].tanh()
        to_cell = bounded.square().neg_().add_(1).mul_(show)
        to_shown = bounded.mul_(show).mul_(1 - show)
        to_enter = (1 - enter).mul_(enter).mul_(propose)
        to_forget = (1 - forget).mul_(forget).mul_(_before(c, cells, steps))
        to_propose = propose.square().neg_().add_(1).mul_(enter)
        to_three = torch.stack((to_enter, to_forget, to_propose), dim=-2)
        for of_output, cell, shown, three, kept, of_all_three, of_show, of_gate in _backwards(
            of_states[:, steps],
            to_cell,
            to_shown,
            to_three,
            forget,
            of_three[:, steps],
            of_shown[:, steps],
            of_all[:, steps].flatten(3),
        ):
            of_state.add_(of_output)
            of_cell.addcmul_(of_state, cell)
            torch.mul(of_cell.unsqueeze(-2), three, out=of_all_three)
            torch.mul(of_state, shown, out=of_show)
            of_cell.mul_(kept)
            torch.bmm(of_gate, weight, out=of_state)
    flat = of_all.flatten(3)
    return flat, of_state, of_cell, _of_weight(flat, h, states)


def _chunks(states: Tensor) -> Iterator[slice]:
    """The steps of states (M, T, B, H), the last ones first, so many at a time."""
    members, time, batch, size = states.shape
    elements = ELEMENTS.get(states.device.type, ELEMENTS["cpu"])
    steps = max(1, elements // (members * batch * size))
    for stop in range(time, 0, -steps):
        yield slice(max(0, stop - steps), stop)


def _backwards(*held: Tensor) -> Iterator[Sequence[Tensor]]:
    """What there is for every step, (M, T, ...) each, the last step first."""
    parts = [reversed(each.unbind(1)) for each in held]
    return zip(*parts, strict=True)


def _before(first: Tensor, states: Tensor, steps: slice) -> Tensor:
    """What each of the steps began with, (M, steps, B, H)."""
    if steps.start > 0:
        return states[:, steps.start - 1 : steps.stop - 1]
    return torch.cat((first.unsqueeze(1), states[:, : steps.stop - 1]), dim=1)


def _of_weight(of_products: Tensor, h: Tensor, states: Tensor) -> Tensor:
    """The gradient of a weight, (M, G, H), from those of its products, (M, T, B, G)."""
    rest = of_products[:, 1:].flatten(1, 2).mT @ states[:, :-1].flatten(1, 2)
    return torch.baddbmm(rest, of_products[:, 0].mT, h)


def _keep_plain(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    _, h, weight, ctx.relu = inputs
    ctx.save_for_backward(h, weight, output)


def _keep_gru(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    ctx.save_for_backward(inputs[1], inputs[2], *output)


def _keep_lstm(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    states, _, cells, opened = output
    ctx.save_for_backward(*inputs[1:], states, cells, opened)


plain.register_autograd(_plain_backward, setup_context=_keep_plain)
gru.register_autograd(_gru_backward, setup_context=_keep_gru)
lstm.register_autograd(_lstm_backward, setup_context=_keep_lstm)

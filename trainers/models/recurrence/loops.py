"""Recurrences of all members of an array, step by step on any device.

A step of all members is one batched product and a few small operations; what does not hang on the
step before is computed for several steps at once, though of no more than a processor's cache holds.

In shapes, M stands for members, T for time, B for batch and H for hidden_size.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final, NamedTuple

import torch
from torch import Tensor

Tensors = tuple[Tensor, ...]

ELEMENTS: Final = {"cpu": 2**15, "cuda": 2**24}
"""Of what is computed for several steps at once, the most for each gate."""


GATES: Final = {"tanh": 1, "relu": 1, "gru": 3, "lstm": 4}
"""How many blocks of hidden_size rows the weights of each cell have."""


class Recurrence(NamedTuple):
    """One cell, one way to compute it.

    Attributes:
        forward: From the inputs' part of the gates, (M, T, B, ...), the first states, (M, B, H)
            each, and the weights: all that the backward pass needs, (M, T, B, ...) each, beginning
            with the states.
        backward: From the gradients of the states that are outputs, (M, T, B, H), and of the last
            states; from what `forward` gave, the first states and the weights: the gradients of the
            gates, (M, T, B, ...), and of the first states. Those of the weights follow from them.
    """

    forward: Callable[[Tensor, Tensors, Tensors], Tensors]
    backward: Callable[[Tensor, Tensors, Tensors, Tensors, Tensors], tuple[Tensor, Tensors]]


def _plain(gates: Tensor, first: Tensors, weights: Tensors, *, relu: bool) -> Tensors:
    (h,), (weight,) = first, weights
    turned, states = weight.mT.contiguous(), gates.new_empty(gates.shape)
    function = torch.clamp_min if relu else torch.tanh
    rest = (0.0,) if relu else ()
    for of_input, state in zip(gates.unbind(1), states.unbind(1), strict=True):
        h = function(torch.baddbmm(of_input, h, turned), *rest, out=state)
    return (states,)


def _plain_backward(
    of_states: Tensor,
    of_last: Tensors,
    kept: Tensors,
    first: Tensors,  # noqa: ARG001 - all have it
    weights: Tensors,
    *,
    relu: bool,
) -> tuple[Tensor, Tensors]:
    (states,), (weight,) = kept, weights
    of_gates = states.new_empty(states.shape)
    of_state = of_last[0].clone()
    for steps in _chunks(states):
        part = states[:, steps]
        slopes = (part > 0).to(part.dtype) if relu else part.square().neg_().add_(1)
        for of_output, slope, of_gate in _backwards(
            of_states[:, steps], slopes, of_gates[:, steps]
        ):
            torch.mul(of_state.add_(of_output), slope, out=of_gate)
            torch.bmm(of_gate, weight, out=of_state)
    return of_gates, (of_state,)


def _gru(gates: Tensor, first: Tensors, weights: Tensors) -> Tensors:
    (h,), (weight, bias) = first, weights
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


def _gru_backward(
    of_states: Tensor, of_last: Tensors, kept: Tensors, first: Tensors, weights: Tensors
) -> tuple[Tensor, Tensors]:
    (states, opened, proposed, products), (h,), weight = kept, first, weights[0]
    reset, update = opened.chunk(2, dim=-1)
    # of what is proposed, of both gates, and of the states' part of what is proposed
    of_all = states.new_empty(*states.shape[:3], 4, h.shape[-1])
    of_state = of_last[0].clone()
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
    return of_all.flatten(3), (of_state,)


def _lstm(gates: Tensor, first: Tensors, weights: Tensors) -> Tensors:
    (h, c), (weight,) = first, weights
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
    return states, cells, opened


def _lstm_backward(
    of_states: Tensor, of_last: Tensors, kept: Tensors, first: Tensors, weights: Tensors
) -> tuple[Tensor, Tensors]:
    (states, cells, opened), (_, c), (weight,) = kept, first, weights
    gates = opened.chunk(4, dim=-1)
    of_all = states.new_empty(*states.shape[:3], 4, c.shape[-1])
    of_three, of_shown = of_all[..., :3, :], of_all[..., 3, :]
    of_state, of_cell = (each.clone() for each in of_last)
    for steps in _chunks(states):
        enter, forget, propose, show = (gate[:, steps] for gate in gates)
        bounded = cells[:, steps].tanh()
        to_cell = bounded.square().neg_().add_(1).mul_(show)
        to_shown = bounded.mul_(show).mul_(1 - show)
        to_enter = (1 - enter).mul_(enter).mul_(propose)
        to_forget = (1 - forget).mul_(forget).mul_(_before(c, cells, steps))
        to_propose = propose.square().neg_().add_(1).mul_(enter)
        to_three = torch.stack((to_enter, to_forget, to_propose), dim=-2)
        for of_output, cell, shown, three, held, of_all_three, of_show, of_gate in _backwards(
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
            of_cell.mul_(held)
            torch.bmm(of_gate, weight, out=of_state)
    return of_all.flatten(3), (of_state, of_cell)


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


LOOPS: Final = {
    "tanh": Recurrence(partial(_plain, relu=False), partial(_plain_backward, relu=False)),
    "relu": Recurrence(partial(_plain, relu=True), partial(_plain_backward, relu=True)),
    "gru": Recurrence(_gru, _gru_backward),
    "lstm": Recurrence(_lstm, _lstm_backward),
}

"""Recurrences of several models at once: rules of `torch.func.vmap` for torch's kernels.

torch has none for its fused recurrences. These turn a step of all members into one batched product,
in operations that autograd knows; a single model still goes through the fused kernel.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import torch
from torch import Tensor

States = tuple[Tensor, ...]
Step = Callable[[Tensor, Tensor, States], States]
"""From the inputs' and the state's part of all gates, (members, batch, gates * hidden_size), and
the states (members, batch, hidden_size) to the next ones, the output first."""


def _tanh(of_input: Tensor, of_state: Tensor, _states: States) -> States:
    return (torch.tanh(of_input + of_state),)


def _relu(of_input: Tensor, of_state: Tensor, _states: States) -> States:
    return (torch.relu(of_input + of_state),)


def _gru(of_input: Tensor, of_state: Tensor, states: States) -> States:
    (h,) = states
    reset, update, new = of_input.chunk(3, dim=-1)
    reset_h, update_h, new_h = of_state.chunk(3, dim=-1)
    proposed = torch.tanh(new + torch.sigmoid(reset + reset_h) * new_h)
    return (torch.lerp(proposed, h, torch.sigmoid(update + update_h)),)


def _lstm(of_input: Tensor, of_state: Tensor, states: States) -> States:
    _, c = states
    i, f, g, o = (of_input + of_state).chunk(4, dim=-1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def run_members(
    step: Step, x: Tensor, states: States, weights: Sequence[Tensor]
) -> tuple[Tensor, States]:
    """One layer in one direction of several models.

    Args:
        x: (members, batch, time, input_size).
        states: (members, batch, hidden_size) each.
        weights: weight_ih, weight_hh, bias_ih, bias_hh as torch has them, members first.

    Returns:
        (members, batch, time, hidden_size), and the states after the last step.
    """
    weight_ih, weight_hh, bias_ih, bias_hh = weights
    members, batch, time = x.shape[:3]
    of_inputs = torch.baddbmm(bias_ih.unsqueeze(1), x.flatten(1, 2), weight_ih.mT)
    bias, turned = bias_hh.unsqueeze(1), weight_hh.mT
    outputs = []
    for of_input in of_inputs.view(members, batch, time, -1).unbind(2):
        states = step(of_input, torch.baddbmm(bias, states[0], turned), states)
        outputs.append(states[0])
    return torch.stack(outputs, dim=2), states


def _rule(step: Step, states: int) -> Callable[..., Any]:
    """A rule for one of torch's kernels, of which models here use one layer and one direction."""

    def rule(info: Any, dims: Any, x: Tensor, hx: Any, weights: Any, *how: Any) -> Any:
        has_biases, num_layers, _dropout, _train, bidirectional, batch_first = how
        if (has_biases, num_layers, bidirectional, batch_first) != (True, 1, False, True):
            raise ValueError(
                "a recurrence of several models at once must be of one layer in one direction, "
                "with biases and the batch first"
            )

        def members_first(tensor: Tensor, place: int | None) -> Tensor:
            if place is None:
                return tensor.unsqueeze(0).expand(info.batch_size, *tensor.shape)
            return tensor.movedim(place, 0)

        hidden, places = (hx, dims[1]) if states > 1 else ([hx], [dims[1]])
        y, after = run_members(
            step,
            members_first(x, dims[0]),
            tuple(members_first(h, at).squeeze(1) for h, at in zip(hidden, places, strict=True)),
            [members_first(w, at) for w, at in zip(weights, dims[2], strict=True)],
        )
        return (y, *(state.unsqueeze(1) for state in after)), (0,) * (1 + states)

    return rule


RULES: Final = {
    "aten::rnn_tanh.input": _rule(_tanh, 1),
    "aten::rnn_relu.input": _rule(_relu, 1),
    "aten::gru.input": _rule(_gru, 1),
    "aten::lstm.input": _rule(_lstm, 2),
}


def register_rules() -> None:
    """Tell torch of the rules, which it takes once in a process."""
    for operator, rule in RULES.items():
        torch.library.register_vmap(operator, rule)

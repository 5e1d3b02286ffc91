"""Recurrences of several models at once: rules of `torch.func.vmap` for torch's kernels.

torch has none for its fused recurrences. These hand a layer of all members to `operations`;
a single model still goes through the fused kernel.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import torch
from torch import Tensor

from trainers.models.recurrence.operations import gru, lstm, plain

States = tuple[Tensor, ...]


def _plain(x: Tensor, states: States, weights: Sequence[Tensor], *, relu: bool) -> Any:
    weight_ih, weight_hh, bias_ih, bias_hh = weights
    y = plain(_of_inputs(x, weight_ih, bias_ih + bias_hh), *states, weight_hh, relu)
    return y, (y[:, -1],)


def _gru(x: Tensor, states: States, weights: Sequence[Tensor]) -> Any:
    weight_ih, weight_hh, bias_ih, bias_hh = weights
    of_inputs = _of_inputs(x, *(_proposed_first(each) for each in (weight_ih, bias_ih)))
    y = gru(of_inputs, *states, weight_hh, bias_hh)[0]
    return y, (y[:, -1],)


def _proposed_first(rows: Tensor) -> Tensor:
    """Rows of reset gate, update gate and what is proposed, (members, 3 * hidden_size, ...)."""
    return rows.roll(rows.shape[1] // 3, 1)


def _lstm(x: Tensor, states: States, weights: Sequence[Tensor]) -> Any:
    weight_ih, weight_hh, bias_ih, bias_hh = weights
    of_inputs = _of_inputs(x, weight_ih, bias_ih + bias_hh)
    y, cell, *_ = lstm(of_inputs, *states, weight_hh)
    return y, (y[:, -1], cell)


def _of_inputs(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The inputs' part of all gates, (members, time, batch, gates * hidden_size).

    Args:
        x: (members, batch, time, size), or (batch, time, size) where all members read the same.
    """
    members, rows, size = weight.shape
    batch, time = x.shape[-3:-1]
    if x.ndim == 3:  # one product with the weights of all
        flat = x.transpose(0, 1).reshape(-1, size)
        found = torch.addmm(bias.flatten(), flat, weight.flatten(0, 1).t())
        return found.view(time, batch, members, rows).permute(2, 0, 1, 3)
    flat = x.transpose(1, 2).flatten(1, 2)
    found = torch.baddbmm(bias.unsqueeze(1), flat, weight.mT)
    return found.view(members, time, batch, rows)


def _rule(layer: Callable[..., Any], states: int) -> Callable[..., Any]:
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
        y, after = layer(
            x if dims[0] is None else x.movedim(dims[0], 0),
            [members_first(h, at).squeeze(1) for h, at in zip(hidden, places, strict=True)],
            [members_first(w, at) for w, at in zip(weights, dims[2], strict=True)],
        )
        found = (y.transpose(1, 2), *(state.unsqueeze(1) for state in after))
        return found, (0,) * len(found)

    return rule


RULES: Final = {
    "aten::rnn_tanh.input": _rule(partial(_plain, relu=False), 1),
    "aten::rnn_relu.input": _rule(partial(_plain, relu=True), 1),
    "aten::gru.input": _rule(_gru, 1),
    "aten::lstm.input": _rule(_lstm, 2),
}


def register_rules() -> None:
    """Tell torch of the rules, which it takes once in a process."""
    for operator, rule in RULES.items():
        torch.library.register_vmap(operator, rule)

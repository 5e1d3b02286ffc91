"""The recurrences themselves, of one layer in one direction, over a whole sequence at once.

Everything recurrent goes through here, so that one place decides which kernel runs. The kernels are
torch's fused ones wherever torch has one; under `torch.func.vmap` those of `rules`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from trainers.models.recurrence.rules import register_rules

register_rules()

Hidden = tuple[Tensor, ...]
"""What a cell carries from step to step, (batch, hidden_size) each."""
Kernel = Callable[[Tensor, Hidden, Sequence[Tensor]], tuple[Tensor, Hidden]]
"""(batch, time, input_size), state and weights in; (batch, time, hidden_size) and new state out.

The weights are torch's: weight_ih, weight_hh, bias_ih, bias_hh.
"""


@dataclass(frozen=True, slots=True)
class Cell:
    """One kind of recurrence.

    Attributes:
        gates: How many blocks of hidden_size rows each weight has.
        states: Names of what it carries; the first is its output.
        run: The recurrence over a whole sequence.
        forget_gate: The block that is the forget gate, if there is one.
        peepholes: How many gates see the cell.
    """

    gates: int
    states: tuple[str, ...]
    run: Kernel
    forget_gate: int | None = None
    peepholes: int = 0


def _fused(kernel: Callable[..., tuple[Tensor, Tensor]]) -> Kernel:
    """One of torch's kernels whose only state is its output."""

    def run(x: Tensor, state: Hidden, weights: Sequence[Tensor]) -> tuple[Tensor, Hidden]:
        y, h = kernel(x, state[0].unsqueeze(0), _for_kernel(weights), *_one_layer())
        return y, (h.squeeze(0),)

    return run


def _fused_lstm(x: Tensor, state: Hidden, weights: Sequence[Tensor]) -> tuple[Tensor, Hidden]:
    h, c = (value.unsqueeze(0) for value in state)
    y, h, c = torch.lstm(x, (h, c), _for_kernel(weights), *_one_layer())
    return y, (h.squeeze(0), c.squeeze(0))


def _one_layer() -> tuple[bool, int, float, bool, bool, bool]:
    """has_biases, num_layers, dropout, train, bidirectional, batch_first of torch's kernels.

    `train` asks for what the backward pass needs, which has nothing to do with dropout here.
    """
    return True, 1, 0.0, torch.is_grad_enabled(), False, True


def _for_kernel(weights: Sequence[Tensor]) -> list[Tensor]:
    return packed(weights) if weights[0].is_cuda else list(weights)


def packed(weights: Sequence[Tensor]) -> list[Tensor]:
    """The weights as parts of one new buffer, one behind the other, as cuDNN wants to have them.

    Else it would put them together itself at each call, and warn of it.
    """
    buffer = torch.cat([weight.flatten() for weight in weights])
    parts = torch.split_with_sizes(buffer, [weight.numel() for weight in weights])
    return [part.view(weight.shape) for part, weight in zip(parts, weights, strict=True)]


def _peephole_lstm(x: Tensor, state: Hidden, weights: Sequence[Tensor]) -> tuple[Tensor, Hidden]:
    """An LSTM whose gates see the cell; torch has no fused kernel for it.

    The fifth weight, (3, hidden_size), weighs the old cell for the input and the forget gate and
    the new cell for the output gate.

    Reference:
        Gers and Schmidhuber, "Recurrent nets that time and count", IJCNN 2000.
    """
    weight_ih, weight_hh, bias_ih, bias_hh, weight_ch = weights
    h, c = state
    to_input, to_forget, to_output = weight_ch.unbind(0)
    outputs = []
    for step in F.linear(x, weight_ih, bias_ih + bias_hh).unbind(1):
        i, f, g, o = torch.addmm(step, h, weight_hh.t()).chunk(4, dim=1)
        i = torch.sigmoid(i + to_input * c)
        f = torch.sigmoid(f + to_forget * c)
        c = f * c + i * torch.tanh(g)
        h = torch.sigmoid(o + to_output * c) * torch.tanh(c)
        outputs.append(h)
    return torch.stack(outputs, dim=1), (h, c)


CELLS: Final[dict[str, Cell]] = {
    "tanh": Cell(1, ("hidden",), _fused(torch.rnn_tanh)),
    "relu": Cell(1, ("hidden",), _fused(torch.rnn_relu)),
    "gru": Cell(3, ("hidden",), _fused(torch.gru)),
    "lstm": Cell(4, ("hidden", "cell"), _fused_lstm, forget_gate=1),
    "peephole_lstm": Cell(4, ("hidden", "cell"), _peephole_lstm, forget_gate=1, peepholes=3),
}

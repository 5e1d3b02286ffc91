"""One recurrent layer in one direction: its parameters, how they begin, and weight-drop."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from trainers.models.layers import Dropout
from trainers.models.recurrence.cells import CELLS, Hidden


def _uniform(block: Tensor) -> Tensor:
    bound = block.shape[1] ** -0.5
    return nn.init.uniform_(block, -bound, bound)


RECURRENT_STARTS: Final[dict[str, Callable[[Tensor], Tensor]]] = {
    "orthogonal": nn.init.orthogonal_,
    "identity": nn.init.eye_,
    "uniform": _uniform,
}


@dataclass(frozen=True, slots=True)
class Start:
    """How the weights of a layer begin.

    Attributes:
        recurrent: The hidden-to-hidden block of every gate: "orthogonal", "identity", or "uniform"
            as in torch. All other weights are Glorot-uniform, biases 0.
        forget_bias: Bias of the forget gate, where there is one.

    Reference:
        Saxe et al., "Exact solutions to the nonlinear dynamics of learning in deep linear neural
        networks", ICLR 2014 (orthogonal); Le et al., "A simple way to initialize recurrent networks
        of rectified linear units", 2015 (identity); Jozefowicz et al., "An empirical exploration
        of recurrent network architectures", ICML 2015 (forget bias).
    """

    recurrent: str
    forget_bias: float = 0.0

    def __post_init__(self) -> None:
        if self.recurrent not in RECURRENT_STARTS:
            known = ", ".join(RECURRENT_STARTS)
            raise ValueError(f"`recurrent_init` must be one of {known}; got {self.recurrent!r}")


class RecurrentLayer(nn.Module):
    """A cell over time, with the parameter names of a one-layer `torch.nn.LSTM`.

    Args:
        cell: A name in `CELLS`.
        recurrent_dropout: Share of the hidden-to-hidden weights that a training step drops. Weights
            are dropped, and not states, so that the fused kernel stays in use.

    Reference:
        Merity et al., "Regularizing and optimizing LSTM language models", ICLR 2018 (weight-drop).
    """

    weight_ch_l0: nn.Parameter | None
    """Peepholes, (gates that see the cell, hidden_size)."""

    def __init__(
        self,
        cell: str,
        input_size: int,
        hidden_size: int,
        *,
        recurrent_dropout: float,
        start: Start,
    ) -> None:
        super().__init__()
        self.cell = CELLS[cell]
        rows = self.cell.gates * hidden_size
        self.weight_ih_l0 = nn.Parameter(torch.empty(rows, input_size))
        self.weight_hh_l0 = nn.Parameter(torch.empty(rows, hidden_size))
        self.bias_ih_l0 = nn.Parameter(torch.zeros(rows))
        self.bias_hh_l0 = nn.Parameter(torch.zeros(rows))
        peepholes = self.cell.peepholes
        self.weight_ch_l0 = nn.Parameter(torch.zeros(peepholes, hidden_size)) if peepholes else None
        self.recurrent_dropout = Dropout(recurrent_dropout)
        self._begin(start)

    @torch.no_grad()
    def _begin(self, start: Start) -> None:
        for block in self.weight_ih_l0.chunk(self.cell.gates):
            nn.init.xavier_uniform_(block)
        for block in self.weight_hh_l0.chunk(self.cell.gates):
            RECURRENT_STARTS[start.recurrent](block)
        if self.cell.forget_gate is not None:
            biases = self.bias_ih_l0.chunk(self.cell.gates)
            biases[self.cell.forget_gate].fill_(start.forget_bias)

    def forward(self, x: Tensor, hidden: Hidden | None = None) -> tuple[Tensor, Hidden]:
        """All steps of `x` (batch, time, input_size), going on from `hidden` or from the start."""
        weights = [self.weight_ih_l0, self.recurrent_dropout(self.weight_hh_l0)]
        weights += [self.bias_ih_l0, self.bias_hh_l0]
        if self.weight_ch_l0 is not None:
            weights.append(self.weight_ch_l0)
        return self.cell.run(x, hidden or self.initial_hidden(x.shape[0]), weights)

    def initial_hidden(self, batch_size: int) -> Hidden:
        """Zeros, (batch, hidden_size) for each state of the cell."""
        shape = (batch_size, self.weight_hh_l0.shape[1])
        return tuple(self.weight_hh_l0.new_zeros(shape) for _ in self.cell.states)

    def state_names(self, place: int) -> list[str]:
        """Names of its states in the state of a stack in which it is layer number `place`."""
        return [f"{name}_{place}" for name in self.cell.states]

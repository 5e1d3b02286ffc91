"""A family of your own, in one file: `families = ["gru", "my_model.py:MyModel"]` in a study."""

import torch
from torch import Tensor, nn

from spaces import Float, Int, SearchSpace
from trainers.model import Backbone, State
from trainers.models.layers import Dropout, zero_padding


class MyModel(Backbone):
    """A minimal gated unit: a GRU with one gate instead of two."""

    reference = "Zhou et al., Minimal gated unit for recurrent neural networks, 2016"

    @classmethod
    def space(cls, causal: bool) -> SearchSpace:
        """What the search may vary; the names are the constructor's keywords."""
        return SearchSpace(
            {
                "hidden_size": Int(16, 512, log=True, default=64),
                "dropout": Float(0.0, 0.5, default=0.1),
            }
        )

    def __init__(self, input_size: int, *, causal: bool, hidden_size: int, dropout: float) -> None:
        super().__init__()
        self.output_size = hidden_size
        self.from_input = nn.Linear(input_size, 2 * hidden_size)
        self.to_gate = nn.Linear(hidden_size, hidden_size, bias=False)
        self.to_candidate = nn.Linear(hidden_size, hidden_size, bias=False)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(batch, time, input_size) -> (batch, time, hidden_size), zero where the mask is False."""
        y, _ = self.advance(x, self.initial_state(len(x)))
        return zero_padding(y, mask)

    def initial_state(self, batch_size: int) -> State:
        """What a stream starts with; this and `advance` are only needed for streaming."""
        return {"hidden": self.to_gate.weight.new_zeros(batch_size, self.output_size)}

    def advance(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """The next steps of a stream, from where the last ones ended."""
        hidden, steps = state["hidden"], []
        for gate_input, candidate_input in (
            step.chunk(2, dim=-1) for step in self.from_input(x).unbind(1)
        ):
            gate = torch.sigmoid(gate_input + self.to_gate(hidden))
            candidate = torch.tanh(candidate_input + self.to_candidate(gate * hidden))
            hidden = (1 - gate) * hidden + gate * candidate
            steps.append(hidden)
        return self.dropout(torch.stack(steps, dim=1)), {"hidden": hidden}

"""Stand-ins for the parts of a model that ONNX can only say in another way; same numbers.

Recurrences become ONNX's own operators, because torch would unroll them over the steps that it
sees. Attention looks at all pairs of steps within its window at once, and state spaces are written
in real numbers, because what the originals do depends on the length of the sequence.
"""

from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainers.backbone import State
from trainers.models.attention import attention, rotate, within_window
from trainers.models.recurrence.cells import CELLS, Hidden
from trainers.models.recurrent_layer import RecurrentLayer
from trainers.models.s4d import S4D
from trainers.models.self_attention import SelfAttention

OPSET: Final = 20


@dataclass(frozen=True, slots=True)
class Operator:
    """A recurrence of ONNX.

    Attributes:
        gates: Where each of its gates stands among torch's.
        peepholes: Likewise.
    """

    name: str
    gates: tuple[int, ...]
    attributes: dict[str, Any] = field(default_factory=dict)
    peepholes: tuple[int, ...] = ()


OPERATORS: Final[dict[str, Operator]] = {
    "tanh": Operator("RNN", (0,), {"activations": ["Tanh"]}),
    "relu": Operator("RNN", (0,), {"activations": ["Relu"]}),
    "gru": Operator("GRU", (1, 0, 2), {"linear_before_reset": 1}),
    "lstm": Operator("LSTM", (0, 3, 1, 2)),
    "peephole_lstm": Operator("LSTM", (0, 3, 1, 2), peepholes=(0, 2, 1)),
}


class OnnxRecurrentLayer(RecurrentLayer):
    """A layer whose recurrence is an operator of ONNX; it computes nothing outside an export.

    Reference:
        Operators of ONNX: GRU-14, LSTM-14, RNN-14.
    """

    operator: Operator
    from_input: Tensor
    from_hidden: Tensor
    bias: Tensor
    peepholes: Tensor | None

    def settle(self) -> None:
        """Put the weights into ONNX's order, (1, ...) each for the one direction."""
        name = next(name for name, cell in CELLS.items() if cell == self.cell)
        self.operator = operator = OPERATORS[name]

        def ordered(weight: Tensor, places: tuple[int, ...]) -> Tensor:
            blocks = weight.detach().chunk(len(places))
            return torch.cat([blocks[place] for place in places])

        bias = [ordered(each, operator.gates) for each in (self.bias_ih_l0, self.bias_hh_l0)]
        self.register_buffer("from_input", ordered(self.weight_ih_l0, operator.gates).unsqueeze(0))
        self.register_buffer("from_hidden", ordered(self.weight_hh_l0, operator.gates).unsqueeze(0))
        self.register_buffer("bias", torch.cat(bias).unsqueeze(0))
        seen = self.weight_ch_l0
        peepholes = None if seen is None else ordered(seen, operator.peepholes).view(1, -1)
        self.register_buffer("peepholes", peepholes)

    def forward(self, x: Tensor, hidden: Hidden | None = None) -> tuple[Tensor, Hidden]:
        """See `RecurrentLayer.forward`."""
        state = hidden or self.initial_hidden(x.shape[0])
        batch, time, size = *x.shape[:2], state[0].shape[1]
        lengths = None  # every step is taken; padding comes last
        inputs = [x.transpose(0, 1), self.from_input, self.from_hidden, self.bias, lengths]
        inputs += [each.unsqueeze(0) for each in state]
        y, *after = torch.onnx.ops.symbolic_multi_out(
            self.operator.name,
            [*inputs, self.peepholes] if self.peepholes is not None else inputs,
            attrs={"hidden_size": size, **self.operator.attributes},
            dtypes=[x.dtype] * (1 + len(state)),
            shapes=[(time, 1, batch, size), *[(1, batch, size)] * len(state)],
            version=OPSET,
        )
        return y.squeeze(1).transpose(0, 1), tuple(each.squeeze(0) for each in after)


class DenseAttention(SelfAttention):
    """Self-attention with one mask for all pairs of steps, of any length."""

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """See `SelfAttention.forward`."""
        queries, keys, values = (self._heads(part) for part in self.project(x).chunk(3, dim=-1))
        # queries at padding look at padding, as in `windowed_attention`
        alike = mask[:, None, :, None] == mask[:, None, None, :]
        seen = alike & within_window(alike, 0, self.window, self.causal)
        return self._merge(attention(rotate(queries, 0), rotate(keys, 0), values, seen))

    def advance(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """See `SelfAttention.advance`; a chunk of any length is taken at once."""
        return self._advance(x, state)


class RealS4D(S4D):
    """A state space whose modes are pairs of real numbers, convolved directly."""

    decay: Tensor
    angle: Tensor
    weight: Tensor

    def settle(self) -> None:
        """Work out, in double precision, what follows from the parameters alone."""
        with torch.no_grad():
            log_transition, weight = self._discretise()
        self.register_buffer("decay", log_transition.real.clone())
        self.register_buffer("angle", log_transition.imag.clone())
        self.register_buffer("weight", torch.stack((weight.real, weight.imag)))

    def advance(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """See `S4D.advance`: what the chunk answers to itself, and to what was before."""
        lag = _steps(x)
        growing = self._powers(lag + 1, x)  # two of (hidden_size, modes, time)
        shrinking = self._powers(x.shape[1] - 1 - lag, x)
        real, imag = (state["modes"][..., part].transpose(0, 1) for part in (0, 1))
        weight = self.weight[:, 0].to(x.dtype).unsqueeze(-1)
        seen_real = weight[0].mT * real - weight[1].mT * imag  # (hidden_size, batch, modes)
        seen_imag = weight[0].mT * imag + weight[1].mT * real
        before = seen_real @ growing[0] - seen_imag @ growing[1]  # (hidden_size, batch, time)
        y = self._mix(self._convolve(x) + before.permute(1, 2, 0) + self.skip * x)
        last = [power[..., -1].unsqueeze(1) for power in growing]
        driven = x.permute(2, 0, 1)  # (hidden_size, batch, time)
        after = (
            last[0] * real - last[1] * imag + driven @ shrinking[0].mT,
            last[0] * imag + last[1] * real + driven @ shrinking[1].mT,
        )
        return y, {"modes": torch.stack(after, dim=-1).transpose(0, 1)}

    def _convolve(self, x: Tensor) -> Tensor:
        """Each feature of `x` (batch, time, hidden_size) with its kernel."""
        time, lag = x.shape[1], _steps(x)
        kernel = self._answer(0, time - 1 - lag, x)
        ahead = self.decay.shape[0] == 2
        if ahead:
            kernel = torch.cat((kernel, self._answer(1, lag, x)), dim=1)
        padded = F.pad(x.transpose(1, 2), (time - 1, time if ahead else 0))
        y = F.conv1d(padded, kernel.unsqueeze(1), groups=x.shape[2])
        return y.transpose(1, 2)

    def _answer(self, direction: int, lags: Tensor, like: Tensor) -> Tensor:
        """What each feature answers to a 1 so many steps before, (hidden_size, lags)."""
        real, imag = self._powers(lags, like, direction)
        weight = self.weight[:, direction].to(like.dtype).unsqueeze(-1)
        return (weight[0] * real - weight[1] * imag).sum(dim=1)

    def _powers(self, lags: Tensor, like: Tensor, direction: int = 0) -> tuple[Tensor, Tensor]:
        """Each mode's transition to these powers, (hidden_size, modes, lags): real, imaginary."""
        size = torch.exp(self.decay[direction].unsqueeze(2) * lags)
        turn = self.angle[direction].unsqueeze(2) * lags
        return (size * turn.cos()).to(like.dtype), (size * turn.sin()).to(like.dtype)


STAND_INS: Final[dict[type[nn.Module], type[nn.Module]]] = {
    RecurrentLayer: OnnxRecurrentLayer,
    SelfAttention: DenseAttention,
    S4D: RealS4D,
}


def for_onnx(model: nn.Module) -> nn.Module:
    """A copy of the model with the stand-ins in place; only for an export."""
    copy = deepcopy(model).eval()
    for module in copy.modules():
        module.__class__ = STAND_INS.get(type(module), type(module))
        if isinstance(module, OnnxRecurrentLayer | RealS4D):
            module.settle()
    return copy


def _steps(x: Tensor) -> Tensor:
    """The numbers of the steps of `x`, in double precision, for angles of thousands of radians."""
    return torch.arange(x.shape[1], dtype=torch.float64, device=x.device)

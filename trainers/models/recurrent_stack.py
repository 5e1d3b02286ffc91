"""Recurrent layers on top of one another, and what practice has added around them."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from spaces import Choice, Float, Int, Node
from trainers.backbone import Backbone, State, last_step
from trainers.models.layers import Dropout, reorder, reversed_steps, zero_padding
from trainers.models.recurrent_layer import RecurrentLayer, Start


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """The layers and what stands between them, whatever their cell.

    Attributes:
        hidden_size: Width of a layer, in each direction.
        bidirectional: Every layer also reads its input from the end, with weights of its own.
        dropout: Rate after every layer.
        variational: That dropout takes the same mask at all steps of a sequence.
        input_dropout: Rate on the inputs, with the same mask at all steps of a sequence.
        recurrent_dropout: See `RecurrentLayer`.
        residual: Every layer but the first adds to its input.
        layer_norm: What a layer gives is normalised.

    Reference:
        Gal and Ghahramani, "A theoretically grounded application of dropout in recurrent neural
        networks", NeurIPS 2016 (variational); Ba et al., "Layer normalization", 2016; Prakash et
        al., "Neural paraphrase generation with stacked residual LSTM networks", COLING 2016.
    """

    hidden_size: int
    num_layers: int
    bidirectional: bool
    dropout: float
    variational: bool
    input_dropout: float
    recurrent_dropout: float
    residual: bool
    layer_norm: bool

    def __post_init__(self) -> None:
        for name, value in (("hidden_size", self.hidden_size), ("num_layers", self.num_layers)):
            if value < 1:
                raise ValueError(f"`{name}` must be at least 1, got {value}")

    @staticmethod
    def space(causal: bool) -> dict[str, Node]:
        """The settings that every recurrent family has; what is held seldom decides anything."""
        both_ways: dict[str, Node] = {"bidirectional": Choice((False, True), default=True)}
        return {
            "hidden_size": Int(16, 512, log=True, default=128),
            "num_layers": Int(1, 6, log=True, default=1),
            **({} if causal else both_ways),
            "dropout": Float(0.0, 0.5, default=0.1),
            "recurrent_dropout": Float(0.0, 0.6, default=0.0, held=True),
            "layer_norm": Choice((False, True)),
            "variational": Choice((False, True), held=True),
            "input_dropout": Float(0.0, 0.5, default=0.0, held=True),
            "residual": Choice((True, False), held=True),
        }


class Recurrent(Backbone):
    """A stack of recurrent layers of one kind of cell.

    Args:
        cell: A name in `CELLS`.
    """

    def __init__(
        self, input_size: int, *, causal: bool, cell: str, start: Start, wiring: Wiring
    ) -> None:
        super().__init__()
        if causal and wiring.bidirectional:
            raise ValueError("`bidirectional` must be false: the task allows no later inputs")
        width = wiring.hidden_size * (2 if wiring.bidirectional else 1)
        sizes = [input_size] + [width] * (wiring.num_layers - 1)

        def layer(size: int) -> RecurrentLayer:
            rate = wiring.recurrent_dropout
            return RecurrentLayer(
                cell, size, wiring.hidden_size, recurrent_dropout=rate, start=start
            )

        self.output_size = width
        self.residual = wiring.residual
        self.input_dropout = Dropout(wiring.input_dropout, same_over_time=True)
        self.ahead = nn.ModuleList(layer(size) for size in sizes)
        self.back = nn.ModuleList(layer(size) for size in sizes if wiring.bidirectional)
        self.norms = nn.ModuleList(
            nn.LayerNorm(width) if wiring.layer_norm else nn.Identity() for _ in sizes
        )
        self.dropouts = nn.ModuleList(
            Dropout(wiring.dropout, same_over_time=wiring.variational) for _ in sizes
        )

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """One kernel call per layer and direction; backwards on the sequence turned around.

        A bidirectional kernel of torch would begin to read backwards in the padding.
        """
        turned = reversed_steps(mask) if self.back else None
        x = self.input_dropout(x)
        for index, ahead in enumerate(self.ahead):
            y, _ = ahead(x)
            if turned is not None:
                z, _ = self.back[index](reorder(x, turned))
                y = torch.cat([y, reorder(z, turned)], dim=2)
            x = self._after(index, x, y)
        return zero_padding(x, mask)

    def _after(self, index: int, x: Tensor, y: Tensor) -> Tensor:
        output: Tensor = self.dropouts[index](self.norms[index](y))
        return x + output if self.residual and index > 0 else output

    def summary(self, y: Tensor, mask: Tensor) -> Tensor:
        """The last step that each direction read: the last real one ahead, the first one back."""
        if not self.back:
            return last_step(y, mask)
        size = self.output_size // 2
        return torch.cat([last_step(y[:, :, :size], mask), y[:, 0, size:]], dim=1)

    def initial_state(self, batch_size: int) -> State:
        """`hidden_0`, and `cell_0` of an LSTM, and so on for every layer; (batch, hidden_size)."""
        state: State = {}
        for index, layer in enumerate(self._streaming_layers()):
            state |= zip(layer.state_names(index), layer.initial_hidden(batch_size), strict=True)
        return state

    def advance(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """See `Backbone.advance`; gradients flow within the chunk and into `state`."""
        after: State = {}
        x = self.input_dropout(x)
        for index, layer in enumerate(self._streaming_layers()):
            names = layer.state_names(index)
            y, hidden = layer(x, tuple(state[name] for name in names))
            after |= zip(names, hidden, strict=True)
            x = self._after(index, x, y)
        return x, after

    def _streaming_layers(self) -> Iterator[RecurrentLayer]:
        if self.back:
            raise ValueError(self._does_not_stream())
        for layer in self.ahead:
            assert isinstance(layer, RecurrentLayer)
            yield layer

"""Any mix of mixers, layer by layer: a search over architectures."""

import math
from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from spaces import Choice, Config, Float, Int, OneOf, Repeat, SearchSpace, default, did_you_mean
from trainers.backbone import Backbone, State
from trainers.models.convolution import Convolution
from trainers.models.recurrent import GRU, LSTM
from trainers.models.residual import Mixer, ResidualStack, check_at_least_one
from trainers.models.s4d import S4D
from trainers.models.self_attention import SelfAttention
from trainers.models.transformer import FeedForward


class Recurrence(Mixer):
    """One recurrent layer of a family, in one or both directions, and a linear map of each step."""

    family: ClassVar[type[Backbone]]

    def __init__(self, hidden_size: int, *, causal: bool, bidirectional: bool = False) -> None:
        super().__init__()
        settings = {
            **default(self.family.space(causal)),
            "hidden_size": hidden_size,
            "num_layers": 1,
            "dropout": 0.0,  # that of the residual layer falls on its output
            "bidirectional": bidirectional,
        }
        self.recurrence = self.family(hidden_size, causal=causal, **settings)
        self.output = nn.Linear(self.recurrence.output_size, hidden_size)

    @classmethod
    def space(cls, causal: bool) -> SearchSpace:
        """See `Mixer.space`."""
        return SearchSpace({} if causal else {"bidirectional": Choice((True, False))})

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """See `Mixer.forward`."""
        y: Tensor = self.output(self.recurrence(x, mask))
        return y

    def initial_state(self, batch_size: int) -> State:
        """See `Mixer.initial_state`."""
        return self.recurrence.initial_state(batch_size)

    def advance(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """See `Mixer.advance`."""
        y, state = self.recurrence.advance(x, state)
        return self.output(y), state


class LSTMLayer(Recurrence):
    """A layer of `LSTM`."""

    family = LSTM


class GRULayer(Recurrence):
    """A layer of `GRU`."""

    family = GRU


MIXERS: dict[str, type[Mixer]] = {
    "gru": GRULayer,
    "lstm": LSTMLayer,
    "conv": Convolution,
    "attention": SelfAttention,
    "ssm": S4D,
    "feed_forward": FeedForward,
}
"""What a layer of a stack can be. One more is a class in its own file and a line here."""


class Stack(ResidualStack):
    """Pre-norm residual layers, each with a mixer of its own kind, at one common width.

    Args:
        layers: For each layer the `name` of a mixer in `MIXERS` and its settings.

    Raises:
        ValueError: No layers, or a mixer that is not known.
    """

    reference: ClassVar[str] = (
        "So, Le and Liang, The evolved Transformer, arXiv 1901.11117 (search over kinds of layers)"
    )

    def __init__(
        self,
        input_size: int,
        *,
        causal: bool,
        hidden_size: int,
        layers: Sequence[Config],
        dropout: float,
    ) -> None:
        check_at_least_one(hidden_size=hidden_size)
        if not layers:
            raise ValueError("`layers` must name at least one layer, got none")
        super().__init__(
            input_size,
            (_mixer(layer, hidden_size, causal) for layer in layers),
            hidden_size=hidden_size,
            causal=causal,
            dropout=dropout,
        )

    @classmethod
    def space(cls, causal: bool) -> SearchSpace:
        """See `Backbone.space`; every width is a multiple of every number of heads."""
        kinds = OneOf({name: mixer.space(causal) for name, mixer in MIXERS.items()})
        return SearchSpace(
            {
                "hidden_size": Choice((32, 64, 128, 256), default=64),
                "layers": Repeat(kinds, Int(1, 6, default=2)),
                "dropout": Float(0.0, 0.5, default=0.1),
            }
        )

    @classmethod
    def width_step(cls, settings: Config) -> int:
        """Every attention layer needs heads of an even size."""
        heads = [layer["num_heads"] for layer in settings["layers"] if "num_heads" in layer]
        return math.lcm(1, *(2 * number for number in heads))


def _mixer(layer: Config, hidden_size: int, causal: bool) -> Mixer:
    name, settings = layer["name"], {key: layer[key] for key in layer if key != "name"}
    if name not in MIXERS:
        raise ValueError(f"there is no layer {name!r}{did_you_mean(name, set(MIXERS))}")
    return MIXERS[name](hidden_size, causal=causal, **settings)

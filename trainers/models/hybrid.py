"""Two families in a row: convolutions before a recurrence, a recurrence before attention."""

from typing import ClassVar

from torch import Tensor

from spaces import Config, OneOf, SearchSpace, did_you_mean, narrow
from trainers.backbone import Backbone, State
from trainers.models.recurrent import GRU, LSTM
from trainers.models.streaming import advance_through, initial_states
from trainers.models.tcn import TCN
from trainers.models.transformer import Transformer

RECURRENT: dict[str, type[Backbone]] = {"gru": GRU, "lstm": LSTM}


class Pair(Backbone):
    """`second` reads what `first` gives."""

    def __init__(self, first: Backbone, second: Backbone) -> None:
        super().__init__()
        self.output_size = second.output_size
        self.first = first
        self.second = second

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """See `Backbone.forward`."""
        y: Tensor = self.second(self.first(x, mask), mask)
        return y

    def summary(self, y: Tensor, mask: Tensor) -> Tensor:
        """That of the second."""
        return self.second.summary(y, mask)

    def initial_state(self, batch_size: int) -> State:
        """See `Backbone.initial_state`."""
        return initial_states((self.first, self.second), batch_size)

    def advance(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """See `Backbone.advance`."""
        return advance_through((self.first, self.second), x, state)


class ConvRecurrent(Pair):
    """A small temporal convolutional network, then a recurrence; no step is merged or skipped.

    Args:
        conv: Settings of a `TCN`.
        recurrent: Settings of a family in `RECURRENT`, and its `name`.
    """

    reference: ClassVar[str] = (
        "Sainath et al., Convolutional, long short-term memory, fully connected deep neural "
        "networks, ICASSP 2015"
    )
    width: ClassVar[str] = "recurrent/hidden_size"

    def __init__(self, input_size: int, *, causal: bool, conv: Config, recurrent: Config) -> None:
        first = TCN(input_size, causal=causal, **conv)
        super().__init__(first, _recurrence(first.output_size, causal, recurrent))

    @classmethod
    def space(cls, causal: bool) -> SearchSpace:
        """See `Backbone.space`."""
        few = {"hidden_size": {"high": 128}, "num_layers": {"high": 3}}
        conv = narrow(TCN.space(causal), few)
        return SearchSpace({"conv": conv, "recurrent": _recurrences(causal)})


class RecurrentAttention(Pair):
    """A recurrence, then a Transformer, which lets each step look back at what the others hold.

    Args:
        recurrent: Settings of a family in `RECURRENT`, and its `name`.
        attention: Settings of a `Transformer`.
    """

    reference: ClassVar[str] = (
        "Merity, Single headed attention RNN: stop thinking with your head, arXiv 1911.11423"
    )
    width: ClassVar[str] = "recurrent/hidden_size"

    def __init__(
        self, input_size: int, *, causal: bool, recurrent: Config, attention: Config
    ) -> None:
        first = _recurrence(input_size, causal, recurrent)
        super().__init__(first, Transformer(first.output_size, causal=causal, **attention))

    @classmethod
    def space(cls, causal: bool) -> SearchSpace:
        """See `Backbone.space`."""
        attention = narrow(Transformer.space(causal), {"num_layers": {"high": 2}})
        return SearchSpace({"recurrent": _recurrences(causal), "attention": attention})


def _recurrences(causal: bool) -> OneOf:
    few = {"hidden_size": {"high": 256}, "num_layers": {"high": 3}}
    return OneOf({name: narrow(family.space(causal), few) for name, family in RECURRENT.items()})


def _recurrence(input_size: int, causal: bool, settings: Config) -> Backbone:
    name, own = settings["name"], {key: settings[key] for key in settings if key != "name"}
    if name not in RECURRENT:
        raise ValueError(f"there is no recurrence {name!r}{did_you_mean(name, set(RECURRENT))}")
    return RECURRENT[name](input_size, causal=causal, **own)

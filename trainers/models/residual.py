"""Pre-norm residual stacks: what the Transformer, the state-space model and `stack` are made of."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import cast

from torch import Tensor, nn

from spaces import SearchSpace
from trainers.backbone import Backbone, State
from trainers.models.layers import Dropout, zero_padding
from trainers.models.streaming import advance_through, initial_states


def check_at_least_one(**settings: int) -> None:
    """Refuse counts and sizes that leave nothing, by name.

    Raises:
        ValueError: One of them is below 1.
    """
    for name, value in settings.items():
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1, got {value}")


class Mixer(nn.Module, ABC):
    """What a residual layer wraps: (batch, time, hidden_size) -> the same shape.

    It mixes time steps, features, or both. Real steps must not depend on padded ones; what it gives
    at padded steps is never looked at. A subclass takes `hidden_size`, `causal` and the keys of
    its space.
    """

    @classmethod
    @abstractmethod
    def space(cls, causal: bool) -> SearchSpace:
        """The settings that may vary; see `Backbone.space`."""

    @abstractmethod
    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Mix `x` (batch, time, hidden_size) where `mask` (batch, time) is True."""

    @abstractmethod
    def initial_state(self, batch_size: int) -> State:
        """The state before the first step, batch first; of a causal mixer."""

    @abstractmethod
    def advance(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """The next chunk (batch, time, hidden_size), and the state after it."""


class Residual(nn.Module):
    """x + dropout(mixer(norm(x))).

    Reference:
        Xiong et al., "On layer normalization in the Transformer architecture", ICML 2020.
    """

    def __init__(self, hidden_size: int, mixer: Mixer, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(hidden_size)
        self.mixer = mixer
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(batch, time, hidden_size) -> the same shape."""
        mixed: Tensor = self.dropout(self.mixer(self.norm(x), mask))
        return x + mixed

    def initial_state(self, batch_size: int) -> State:
        """The state of the mixer."""
        return self.mixer.initial_state(batch_size)

    def advance(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """The next chunk, and the state after it."""
        mixed, state = self.mixer.advance(self.norm(x), state)
        return x + self.dropout(mixed), state


class ResidualStack(Backbone):
    """An input projection, residual layers around `mixers`, and a last layer norm.

    Args:
        mixers: One per layer, each of width `hidden_size`.
        dropout: After the input projection and after every mixer.
    """

    def __init__(
        self,
        input_size: int,
        mixers: Iterable[Mixer],
        *,
        hidden_size: int,
        causal: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        self.output_size = hidden_size
        self.causal = causal
        self.project = nn.Linear(input_size, hidden_size)
        self.dropout = Dropout(dropout)
        self.layers = nn.ModuleList(Residual(hidden_size, mixer, dropout) for mixer in mixers)
        self.norm = nn.LayerNorm(hidden_size)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """See `Backbone.forward`."""
        y = self.dropout(self.project(zero_padding(x, mask)))
        for layer in self.layers:
            y = layer(y, mask)
        return zero_padding(self.norm(y), mask)

    def initial_state(self, batch_size: int) -> State:
        """See `Backbone.initial_state`."""
        if not self.causal:
            return super().initial_state(batch_size)
        return initial_states(self._parts(), batch_size)

    def advance(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """See `Backbone.advance`."""
        if not self.causal:
            return super().advance(x, state)
        y, state = advance_through(self._parts(), self.dropout(self.project(x)), state)
        return self.norm(y), state

    def _parts(self) -> list[Residual]:
        return cast(list[Residual], list(self.layers))

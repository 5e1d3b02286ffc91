"""Streaming through parts in a row: one flat state out of the states of the parts."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from torch import Tensor

from trainers.backbone import State


class Streaming(Protocol):
    """What can carry a state from chunk to chunk, as `Backbone` describes it."""

    def initial_state(self, batch_size: int) -> State:
        """The state before the first step."""
        ...

    def advance(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """The next chunk, and the state after it."""
        ...


def initial_states(parts: Iterable[Streaming], batch_size: int) -> State:
    """The states of all `parts` in one; the names of part 2 begin with ``2.``."""
    return _joined(part.initial_state(batch_size) for part in parts)


def advance_through(parts: Sequence[Streaming], x: Tensor, state: State) -> tuple[Tensor, State]:
    """Send a chunk through all `parts`, each going on from its share of `state`."""
    after = []
    for place, part in enumerate(parts):
        x, new = part.advance(x, _share(state, place))
        after.append(new)
    return x, _joined(after)


def _joined(states: Iterable[State]) -> State:
    return {
        f"{place}.{name}": value
        for place, state in enumerate(states)
        for name, value in state.items()
    }


def _share(state: State, place: int) -> State:
    start = f"{place}."
    return {
        name.removeprefix(start): value for name, value in state.items() if name.startswith(start)
    }

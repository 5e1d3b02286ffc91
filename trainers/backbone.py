"""What every family of model is: the interface, with the promises that `checks` tries."""

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor, nn

from spaces import Config, SearchSpace

State = dict[str, Tensor]
"""What a causal model carries from chunk to chunk: tensors of fixed size, batch first."""


class Backbone(nn.Module, ABC):
    """A family of sequence model: (batch, time, input_size) -> (batch, time, output_size).

    A subclass declares its search space, takes the space's keys as keyword arguments, and says in
    `reference` where it comes from. Sequences are padded at the end. What a backbone promises, and
    `trainers.conformance.checks` tries, is that padding and neighbours in the batch change nothing,
    that outputs at padding are 0, and that a causal one looks at no later input.

    `forward` branches on no tensor's value and draws no random numbers but through `Dropout`, so
    that several trials of one shape can be trained as one.
    """

    reference: ClassVar[str]
    """The paper."""
    width: ClassVar[str] = "hidden_size"
    """The setting by which models get a wanted number of parameters; of settings in a table, such
    as `recurrent/hidden_size`."""
    output_size: int

    @classmethod
    @abstractmethod
    def space(cls, causal: bool) -> SearchSpace:
        """The settings that may vary; its keys are the constructor's keywords.

        Args:
            causal: Leave out what looks at later inputs.
        """

    @classmethod
    def width_step(cls, settings: Config) -> int:
        """The number that `width` must be a multiple of, given the other settings; here any."""
        return 1

    @abstractmethod
    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Every step of every sequence.

        Args:
            x: (batch, time, input_size).
            mask: (batch, time) bool, True where real; padding comes last.

        Returns:
            (batch, time, output_size), 0 at padding.
        """

    def summary(self, y: Tensor, mask: Tensor) -> Tensor:
        """The whole sequence in one vector, (batch, output_size): here the last real step.

        Args:
            y: What `forward` gave for `mask`.
        """
        return last_step(y, mask)

    def initial_state(self, batch_size: int) -> State:
        """The state before the first step, on the device and in the type of the parameters.

        Raises:
            ValueError: This backbone does not stream.
        """
        raise ValueError(self._does_not_stream())

    def advance(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Go on from `state`; chunk after chunk gives what `forward` gives at once.

        Args:
            x: (batch, time, input_size), at least one step. All of it is real, but for what
                follows the end of a sequence: what comes of that, state included, is dropped.

        Returns:
            (batch, time, output_size) and the state after the last step.

        Raises:
            ValueError: This backbone does not stream.
        """
        raise ValueError(self._does_not_stream())

    def _does_not_stream(self) -> str:
        return (
            f"streaming needs a causal model with `initial_state` and `advance`, "
            f"and this {type(self).__name__} is none"
        )


def can_stream(family: type[Backbone]) -> bool:
    """Whether the class says how to go on from a state."""
    return family.advance is not Backbone.advance


def last_step(y: Tensor, mask: Tensor) -> Tensor:
    """The last real step of each sequence, (batch, size).

    Args:
        y: (batch, time, size).
        mask: (batch, time) bool, True where real; padding comes last.
    """
    last = mask.sum(dim=1) - 1
    return y.gather(1, last.view(-1, 1, 1).expand(-1, 1, y.shape[2])).squeeze(1)

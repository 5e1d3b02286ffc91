"""Heads: from what a backbone says at every step to what a task asks for."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional

from spaces import Choice, Int, SearchSpace
from trainers.decoding.ctc import beam_labels, greedy_labels


class Decoding(nn.Module, ABC):
    """A head whose outputs are not yet the answer, which is a sequence with a length of its own."""

    @abstractmethod
    def decode(self, y: Tensor, mask: Tensor, summary: Tensor, beam_width: int) -> list[list[int]]:
        """The labels of every sequence, from what `forward` takes.

        Args:
            beam_width: How many hypotheses are kept; with 1, the most probable at every step.
        """


class PerStep(nn.Module):
    """One linear map of every step's output."""

    def __init__(self, size: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(size, outputs)

    @staticmethod
    def space() -> SearchSpace:
        """Nothing to choose."""
        return SearchSpace({})

    def forward(self, y: Tensor, mask: Tensor, summary: Tensor) -> Tensor:
        """(batch, time, size) -> (batch, time, outputs)."""
        output: Tensor = self.linear(y)
        return output


class NextValue(PerStep):
    """The next values of a stream at every step.

    Args:
        channels: How many values a step has.
        from_last_value: Forecasts are changes from the values at their step.
    """

    def __init__(self, size: int, channels: int, *, from_last_value: bool) -> None:
        super().__init__(size, channels)
        self.from_last_value = from_last_value

    @staticmethod
    def space() -> SearchSpace:
        """Where forecasts begin."""
        return SearchSpace({"from_last_value": Choice((True, False), default=True)})

    def forward(  # type: ignore[override]  # it reads the inputs, too
        self, y: Tensor, mask: Tensor, summary: Tensor, inputs: Tensor
    ) -> Tensor:
        """(batch, time, size), and inputs (batch, time, channels) -> the same shape as these."""
        changes = super().forward(y, mask, summary)
        return changes + inputs if self.from_last_value else changes


class TiedPerStep(nn.Module):
    """Logits of every token at every step, with the weights that tokens are embedded by.

    What the backbone gives is mapped to the width of the embedding first, where it has another.

    Args:
        outputs: Number of tokens.

    Reference:
        Press & Wolf, "Using the output embedding to improve language models", EACL 2017.
    """

    def __init__(self, size: int, outputs: int, embedding_size: int) -> None:
        super().__init__()
        same = size == embedding_size
        self.project = nn.Identity() if same else nn.Linear(size, embedding_size)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, y: Tensor, mask: Tensor, summary: Tensor, embedding: Tensor) -> Tensor:
        """(batch, time, size), and embeddings (outputs, width) -> (batch, time, outputs)."""
        return functional.linear(self.project(y), embedding, self.bias)


class Aligned(PerStep, Decoding):
    """One linear map of every step's output, to the logits of labels and, last, of the blank."""

    def decode(self, y: Tensor, mask: Tensor, summary: Tensor, beam_width: int) -> list[list[int]]:
        """See `Decoding.decode`."""
        logits = self(y, mask, summary).float()
        if beam_width == 1:
            return greedy_labels(logits, mask)
        told = logits.log_softmax(-1).tolist()
        lengths = mask.sum(1).tolist()
        return [
            beam_labels(steps[:length], beam_width)[0]
            for steps, length in zip(told, lengths, strict=True)
        ]


class Pooled(nn.Module):
    """One linear map of the whole sequence.

    Args:
        pooling: "last" takes the backbone's summary (its last real step; of a bidirectional one,
            the last of each direction), "mean" and "max" look at all real steps.
    """

    def __init__(self, size: int, outputs: int, *, pooling: str) -> None:
        super().__init__()
        self.pooling = pooling
        self.linear = nn.Linear(size, outputs)

    @staticmethod
    def space() -> SearchSpace:
        """How the steps become one."""
        return SearchSpace({"pooling": Choice(("last", "mean", "max"), default="last")})

    def forward(self, y: Tensor, mask: Tensor, summary: Tensor) -> Tensor:
        """(batch, time, size), (batch, time), (batch, size) -> (batch, outputs)."""
        output: Tensor = self.linear(self._pool(y, mask, summary))
        return output

    def _pool(self, y: Tensor, mask: Tensor, summary: Tensor) -> Tensor:
        real = mask.unsqueeze(-1)
        match self.pooling:
            case "mean":
                return (y * real).sum(1) / real.sum(1)
            case "max":
                return y.masked_fill(~real, float("-inf")).amax(1)
            case _:
                return summary


class Forecast(nn.Module):
    """Every step of the horizon at once, from the summary and from what is known of the step.

    Args:
        size: Of the summary.
        channels: The first features of the inputs are these, as they were.
        known: The last features of the inputs are these, as they will be `horizon` steps later.
        from_last_value: Forecasts are changes from each channel's last value.
        context_size: Numbers that the summary tells a step of the horizon; with what is known of
            the step they go through a network that all steps share. Only where anything is known.

    Reference:
        Wen et al., "A multi-horizon quantile recurrent forecaster", 2017, for the contexts; Zeng et
        al., "Are Transformers effective for time series forecasting?", AAAI 2023, for the last
        value (NLinear).
    """

    def __init__(
        self,
        size: int,
        horizon: int,
        channels: int,
        *,
        known: int,
        from_last_value: bool,
        context_size: int = 0,
    ) -> None:
        super().__init__()
        self.horizon = horizon
        self.channels = channels
        self.known = known
        self.from_last_value = from_last_value
        self.steps = nn.Linear(size, horizon * (context_size if known else channels))
        self.shared: nn.Module = nn.Identity()
        if known:
            self.shared = nn.Sequential(
                nn.Linear(context_size + known, 2 * context_size),
                nn.ReLU(),
                nn.Linear(2 * context_size, channels),
            )

    @staticmethod
    def space(known: int) -> SearchSpace:
        """Where forecasts begin, and the size of the contexts where anything is known."""
        start = {"from_last_value": Choice((True, False), default=True)}
        if not known:
            return SearchSpace(start)
        return SearchSpace({**start, "context_size": Int(4, 64, log=True, default=16)})

    def forward(self, y: Tensor, mask: Tensor, summary: Tensor, inputs: Tensor) -> Tensor:
        """The summary, and inputs (batch, time, size) -> (batch, horizon, channels).

        Raises:
            ValueError: There are covariates known ahead, and fewer inputs than steps to forecast.
        """
        steps = self.steps(summary).unflatten(1, (self.horizon, -1))
        real = mask.sum(1)
        if self.known:
            steps = torch.cat([steps, self._ahead(inputs, real)], dim=2)
        changes: Tensor = self.shared(steps)
        if not self.from_last_value:
            return changes
        return changes + _rows(inputs[..., : self.channels], real.unsqueeze(1) - 1)

    def _ahead(self, inputs: Tensor, real: Tensor) -> Tensor:
        """(batch, horizon, known): what is known of the steps asked for."""
        if inputs.shape[1] < self.horizon:
            raise ValueError(
                f"with covariates known ahead, inputs must be at least as long as the horizon of "
                f"{self.horizon}, got {inputs.shape[1]} steps"
            )
        steps = torch.arange(-self.horizon, 0, device=real.device)
        return _rows(inputs[..., -self.known :], real.unsqueeze(1) + steps)


def _rows(values: Tensor, places: Tensor) -> Tensor:
    """(batch, steps, size) of values (batch, time, size) at the places (batch, steps)."""
    return values.gather(1, places.unsqueeze(2).expand(-1, -1, values.shape[2]))

"""What every task shares: its interface, and the sums over examples and splits."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Final, Self

import numpy as np
import torch
from torch import Tensor, nn

from spaces import SearchSpace, did_you_mean
from trainers.data.batch import Batch
from trainers.spelling import SpeltEmbedding

WIDEST_EMBEDDING: Final = 128


@dataclass(frozen=True, slots=True)
class Metric:
    """A number that judges a model, and whether more of it is better."""

    name: str
    maximize: bool
    unit: str

    def loss(self, value: float) -> float:
        """The number to minimise; all of the search minimises."""
        return -value if self.maximize else value


@dataclass(frozen=True, kw_only=True)
class Task(ABC):
    """What a model is asked for.

    A kind of task says what every target step costs (`losses`) and how well it was met (`scores`);
    the sums over examples and splits are the same for all. One whose metric is no average of target
    steps (an F score) overrides `measure`, `summarize` and `example_losses`.

    Attributes:
        input_size: Features per step, where inputs are no tokens.
        vocabulary: Number of different tokens where inputs are tokens, to be embedded.
        reads_spelling: Beside its token, a step has the numbers of how the word is spelt; see
            `trainers.spelling`.
        causal: No output may depend on later inputs; a rule of the task, never of a sampler.
    """

    name: ClassVar[str]
    metrics: ClassVar[tuple[Metric, ...]]  # the first is the objective unless another is chosen
    has_classes: ClassVar[bool] = False  # targets are class numbers
    smooths_labels: ClassVar[bool] = True  # where it has classes
    head_reads_inputs: ClassVar[bool] = False  # its head is given the inputs, too
    streams: ClassVar[bool] = False  # consecutive examples may be passages of one stream
    head_reads_targets: ClassVar[bool] = False  # and the targets, where outputs are asked for
    fits_on_valid: ClassVar[bool] = False  # it has numbers of its own, see `fitted`

    input_size: int = 1
    vocabulary: int | None = None
    reads_spelling: bool = False
    causal: bool = False

    def __post_init__(self) -> None:
        check_at_least("input_size", self.input_size, 1)
        if self.vocabulary is not None:
            check_at_least("vocabulary", self.vocabulary, 2)
        elif self.reads_spelling:
            raise ValueError("only words have a spelling to read; set a `vocabulary`, too")

    @property
    def input_dtype(self) -> torch.dtype:
        """The type of a batch's inputs."""
        return torch.float32 if self.vocabulary is None else torch.int64

    @property
    def target_dtype(self) -> torch.dtype:
        """The type of a batch's targets."""
        return torch.int64 if self.has_classes else torch.float32

    @property
    def widest(self) -> int:
        """The most numbers that a step of the inputs or of the outputs has."""
        return self.input_size

    def embedding(self, settings: Mapping[str, Any]) -> nn.Embedding | SpeltEmbedding:
        """What tokens are embedded by, where inputs are tokens.

        Args:
            settings: Those of the head.
        """
        assert self.vocabulary is not None
        kind = SpeltEmbedding if self.reads_spelling else nn.Embedding
        return kind(self.vocabulary, embedding_size(self.vocabulary))

    @abstractmethod
    def head_space(self) -> SearchSpace:
        """What may vary in the head."""

    @abstractmethod
    def head(self, size: int, settings: Mapping[str, Any]) -> nn.Module:
        """The head on a backbone of output size `size`.

        Its `forward(y, mask, summary)` takes (batch, time, size), (batch, time), (batch, size), and
        where `head_reads_inputs` the inputs after them, where `head_reads_targets` the targets.
        """

    @abstractmethod
    def losses(
        self, outputs: Tensor, batch: Batch, label_smoothing: float | Tensor = 0.0
    ) -> Tensor:
        """(batch, steps): the training loss of every target step, padding included."""

    @abstractmethod
    def scores(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """(batch, steps) of every metric, padding included."""

    def weights(self, batch: Batch) -> Tensor:
        """(batch, steps): how much every target step counts in the training loss; 0 at padding."""
        return batch.target_mask.float()

    def total_loss(
        self, outputs: Tensor, batch: Batch, label_smoothing: float | Tensor = 0.0
    ) -> Tensor:
        """0-d: the weighted sum of the batch's losses; parts of a batch add up to the whole."""
        return (self.losses(outputs, batch, label_smoothing) * self.weights(batch)).sum()

    def loss(self, outputs: Tensor, batch: Batch, label_smoothing: float | Tensor = 0.0) -> Tensor:
        """0-d: the weighted mean of the batch's losses."""
        return self.total_loss(outputs, batch, label_smoothing) / self.weights(batch).sum()

    def measure(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """(batch,) of every metric, summed over an example's targets, and the targets' `count`."""
        real = batch.target_mask.float()
        scores = self.scores(outputs, batch)
        return {name: (score * real).sum(1) for name, score in scores.items()} | {
            "count": real.sum(1)
        }

    def summarize(self, examples: Mapping[str, np.ndarray]) -> dict[str, float]:
        """The metrics of a split from `measure` of all its examples: means over all targets."""
        count = examples["count"].sum(dtype=np.float64)
        return {
            metric.name: float(examples[metric.name].sum(dtype=np.float64) / count)
            for metric in self.metrics
            if metric.name in examples
        }

    def example_losses(self, examples: Mapping[str, np.ndarray], metric: str) -> np.ndarray:
        """(examples,): their mean is the loss of the split's `metric`, their spread its doubt.

        The metric of a split is a ratio, scores to targets, so that an example of many targets with
        the usual score each is no outlier. An example counts by how far it moves that ratio.

        Reference:
            Cochran, "Sampling techniques", 3rd edition, 1977, section 6.3 (the ratio estimate).
        """
        count = examples["count"].astype(np.float64)
        scores = examples[metric].astype(np.float64)
        ratio = scores.sum() / count.sum()
        values: np.ndarray = ratio + (scores - ratio * count) / count.mean()
        return -values if self.metric(metric).maximize else values

    def fitted(self, examples: Mapping[str, np.ndarray]) -> Self:
        """The task with what it fits to a model, such as thresholds; most have nothing to fit.

        Args:
            examples: From `measure`, of the validation split.
        """
        return self

    def metric(self, name: str | None = None) -> Metric:
        """The metric of that name; the first of the task without one.

        Raises:
            ValueError: The task has no such metric.
        """
        table = {metric.name: metric for metric in self.metrics}
        if name is None:
            return self.metrics[0]
        if name not in table:
            raise ValueError(f"{self.name} has no metric {name!r}{did_you_mean(name, set(table))}")
        return table[name]

    def to_json(self) -> dict[str, Any]:
        """A JSON tree that `task_from_json` reads."""
        return {"name": self.name, **asdict(self)}


def embedding_size(vocabulary: int) -> int:
    """The usual width in which tokens are embedded: that of a one-hot vector, up to a limit."""
    return min(vocabulary, WIDEST_EMBEDDING)


def check_at_least(name: str, value: int, low: int) -> None:
    """Refuse a field that is too small.

    Raises:
        ValueError: It is.
    """
    if value < low:
        raise ValueError(f"`{name}` must be at least {low}, got {value}")

"""The next token of a text, at every step."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from torch import Tensor, nn

from spaces import Choice, Int, SearchSpace, did_you_mean
from trainers.data.batch import Batch
from trainers.heads import PerStep, TiedPerStep
from trainers.tasks.classes import cross_entropy
from trainers.tasks.task import Metric, Task, embedding_size

PERPLEXITY = Metric("perplexity", maximize=False, unit="tokens to choose from")
BITS = Metric("bits_per_character", maximize=False, unit="bits")
NATS = Metric("nats_per_token", maximize=False, unit="nats")
METRICS = {"word": (PERPLEXITY, NATS), "character": (BITS, PERPLEXITY, NATS)}
NARROWEST_EMBEDDING = 8


@dataclass(frozen=True, kw_only=True)
class LanguageModelling(Task):
    """The next token at every step, from all tokens before it.

    The data are streams that are longer than what is trained on at once: consecutive examples are
    passages of one stream, and a model carries its state from each to the next. All metrics follow
    from the nats of the average token.

    Attributes:
        level: What a token is, "word" or "character"; it decides the metrics.
    """

    name: ClassVar[str] = "language_modelling"
    metrics: ClassVar[tuple[Metric, ...]] = (PERPLEXITY, BITS, NATS)
    has_classes: ClassVar[bool] = True
    streams: ClassVar[bool] = True

    level: str = "word"
    causal: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.level not in METRICS:
            hint = did_you_mean(self.level, set(METRICS))
            raise ValueError(f"`level` must be word or character, got {self.level!r}{hint}")
        if not self.causal or self.vocabulary is None:
            raise ValueError("language modelling must be causal and of tokens, with a `vocabulary`")
        object.__setattr__(self, "metrics", METRICS[self.level])

    @property
    def tokens(self) -> int:
        """Number of different tokens."""
        assert self.vocabulary is not None
        return self.vocabulary

    @property
    def widest(self) -> int:
        """Every step has a number for each token."""
        return self.tokens

    def head_space(self) -> SearchSpace:
        """How wide tokens are embedded, and whether the outputs have those weights, too."""
        width = max(NARROWEST_EMBEDDING, embedding_size(self.tokens))
        return SearchSpace(
            {
                "embedding_size": Int(NARROWEST_EMBEDDING, 1024, log=True, default=width),
                "tied_embeddings": Choice((True, False), default=self.level == "word"),
            }
        )

    def embedding(self, settings: Mapping[str, Any]) -> nn.Embedding:
        """As wide as it is set; one that is tied starts small, for its rows are weights, too."""
        table = nn.Embedding(self.tokens, settings["embedding_size"])
        if settings["tied_embeddings"]:
            nn.init.normal_(table.weight, std=table.embedding_dim**-0.5)
        return table

    def head(self, size: int, settings: Mapping[str, Any]) -> nn.Module:
        """Outputs are logits, (batch, time, tokens)."""
        if settings["tied_embeddings"]:
            return TiedPerStep(size, self.tokens, settings["embedding_size"])
        return PerStep(size, self.tokens)

    def losses(
        self, outputs: Tensor, batch: Batch, label_smoothing: float | Tensor = 0.0
    ) -> Tensor:
        """Cross-entropy of every step with smoothed labels, (batch, time)."""
        return cross_entropy(outputs, batch.targets, label_smoothing)

    def scores(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Nats of every token, (batch, time)."""
        return {NATS.name: cross_entropy(outputs, batch.targets)}

    def summarize(self, examples: Mapping[str, np.ndarray]) -> dict[str, float]:
        """The metrics of a split, each from the nats of all its tokens by their number."""
        count = examples["count"].sum(dtype=np.float64)
        nats = float(examples[NATS.name].sum(dtype=np.float64) / count)
        values = {
            PERPLEXITY.name: perplexity(nats),
            BITS.name: nats / math.log(2),
            NATS.name: nats,
        }
        return {metric.name: values[metric.name] for metric in self.metrics}

    def example_losses(self, examples: Mapping[str, np.ndarray], metric: str) -> np.ndarray:
        """(examples,): their mean is the split's `metric`, their spread its doubt.

        Of the perplexity, which is no mean of examples but a function of one, to first order: an
        example counts by how far it moves the nats, times the slope of the perplexity there.

        Reference:
            Oehlert, "A note on the delta method", The American Statistician, 1992.
        """
        nats = super().example_losses(examples, NATS.name)
        match self.metric(metric):
            case Metric(name=PERPLEXITY.name):
                mean = float(nats.mean())
                return perplexity(mean) * (1 + nats - mean)
            case Metric(name=BITS.name):
                return nats / math.log(2)
            case _:
                return nats


def perplexity(nats: float) -> float:
    """As many equally likely tokens leave one in the same doubt; infinite beyond all numbers."""
    try:
        return math.exp(nats)
    except OverflowError:
        return math.inf

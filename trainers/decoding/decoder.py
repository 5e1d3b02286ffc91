"""The attention decoder: a head that says a sequence label by label, looking back at the input."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spaces import Choice, Float, Int, SearchSpace
from trainers.decoding.beam_search import Hidden, beam_search
from trainers.heads import Decoding
from trainers.models.layers import Dropout
from trainers.models.recurrent_layer import RecurrentLayer, Start

LENGTH_POWER: Final = 1.0
"""Answers are compared by the mean log probability of their labels."""


@dataclass(frozen=True, slots=True)
class Source:
    """What a decoder looks back at.

    Attributes:
        keys: (batch, time, hidden_size) what scores are made of.
        values: (batch, time, size) what is seen.
        mask: (batch, time)
    """

    keys: Tensor
    values: Tensor
    mask: Tensor

    def repeated(self, count: int) -> "Source":
        """Every example so many times, side by side."""
        if count == 1:
            return self
        parts = (self.keys, self.values, self.mask)
        return Source(*(part.repeat_interleave(count, dim=0) for part in parts))


class Attention(nn.Module):
    """How much of each step of the input is seen from each step of the output.

    Args:
        size: Of the input's steps.
        hidden_size: Of the output's steps.
        kind: "additive" for a small network, "dot" for a scaled product.

    Reference:
        Bahdanau et al., "Neural machine translation by jointly learning to align and translate",
        ICLR 2015 (additive); Luong et al., "Effective approaches to attention-based neural machine
        translation", EMNLP 2015 (dot: the score "general"), scaled as in Vaswani et al., 2017.
    """

    def __init__(self, size: int, hidden_size: int, kind: str) -> None:
        super().__init__()
        self.keys = nn.Linear(size, hidden_size, bias=False)
        self.scale = hidden_size**-0.5
        self.query = nn.Linear(hidden_size, hidden_size) if kind == "additive" else None
        self.energy = nn.Linear(hidden_size, 1, bias=False) if kind == "additive" else None

    def source(self, y: Tensor, mask: Tensor) -> Source:
        """The input as this attention sees it."""
        return Source(self.keys(y), y, mask)

    def weights(self, hidden: Tensor, source: Source) -> Tensor:
        """(batch, steps, time): 0 at padding, and 1 in all from each step (batch, steps, size)."""
        if self.query is None or self.energy is None:
            scores = hidden @ source.keys.mT * self.scale
        else:
            both = self.query(hidden).unsqueeze(2) + source.keys.unsqueeze(1)
            scores = self.energy(torch.tanh(both)).squeeze(3)
        scores = scores.masked_fill(~source.mask.unsqueeze(1), float("-inf"))
        return F.softmax(scores, -1)

    def forward(self, hidden: Tensor, source: Source) -> Tensor:
        """(batch, steps, size): the mean of the input's steps by these weights."""
        return self.weights(hidden, source) @ source.values


class Decoder(Decoding):
    """A recurrence over the labels before, begun from the summary, that looks back at the input.

    What it recalls is combined with what it sees, and the combination decides the label; it is not
    fed back, so that in training all steps are computed at once.

    Args:
        size: Of the backbone's outputs.
        classes: Different labels; the last ends a sequence.
        longest: Labels after which an answer is cut off.
        cell: "gru" or "lstm".
        attention: "additive", "dot" or "none".
        dropout: Of the labels' embeddings and of what decides the label.
        scheduled_sampling: Share of the labels that training replaces by the decoder's own, from a
            pass in which it was told the true ones.

    Reference:
        Luong et al., EMNLP 2015, without input feeding; Sutskever et al., NeurIPS 2014, for none;
        Bengio et al., "Scheduled sampling for sequence prediction with recurrent neural networks",
        NeurIPS 2015; Duckworth et al., "Parallel scheduled sampling", 2019, for one pass.
    """

    def __init__(
        self,
        size: int,
        classes: int,
        *,
        longest: int,
        cell: str,
        hidden_size: int,
        attention: str,
        dropout: float,
        scheduled_sampling: float,
    ) -> None:
        super().__init__()
        self.end, self.begin, self.longest = classes - 1, classes, longest
        self.embed = nn.Embedding(classes + 1, hidden_size)
        start = Start("orthogonal", forget_bias=1.0)
        self.recurrence = RecurrentLayer(
            cell, hidden_size, hidden_size, recurrent_dropout=0.0, start=start
        )
        self.states = len(self.recurrence.cell.states)
        self.from_summary = nn.Linear(size, self.states * hidden_size)
        attends = attention != "none"
        self.attention = Attention(size, hidden_size, attention) if attends else None
        self.combine = nn.Linear(hidden_size + (size if attends else 0), hidden_size)
        self.output = nn.Linear(hidden_size, classes)
        self.drop_labels = Dropout(dropout)
        self.drop_combined = Dropout(dropout)
        self.own_labels = Dropout(scheduled_sampling)

    @staticmethod
    def space() -> SearchSpace:
        """The decoder's own size and regularisation, and how it looks back."""
        return SearchSpace(
            {
                "cell": Choice(("gru", "lstm"), default="gru"),
                "hidden_size": Int(32, 512, log=True, default=128),
                "attention": Choice(("dot", "additive", "none"), default="dot"),
                "dropout": Float(0.0, 0.5, default=0.2, kind="scalar"),
                "scheduled_sampling": Float(0.0, 0.5, default=0.0, kind="scalar", held=True),
            }
        )

    def forward(self, y: Tensor, mask: Tensor, summary: Tensor, targets: Tensor) -> Tensor:
        """Logits of every label, (batch, steps, classes), told the true ones before it.

        Args:
            targets: (batch, steps)
        """
        source, state = self._source(y, mask), self._begin(summary)
        told = self._shifted(targets)
        if self.training and self.own_labels.active:
            replaced = self.own_labels(torch.ones_like(told, dtype=y.dtype)) == 0
            with torch.no_grad():
                own = self._steps(told, source, state)[0].argmax(-1)
            told = torch.where(replaced, self._shifted(own), told)
        return self._steps(told, source, state)[0]

    def decode(self, y: Tensor, mask: Tensor, summary: Tensor, beam_width: int) -> list[list[int]]:
        """See `Decoding.decode`."""
        return beam_search(
            self.stepper(y, mask, beam_width),
            tuple(part.repeat_interleave(beam_width, dim=0) for part in self._begin(summary)),
            begin=self.begin,
            end=self.end,
            width=beam_width,
            longest=self.longest,
            length_power=LENGTH_POWER,
        )[0]

    def stepper(
        self, y: Tensor, mask: Tensor, rows: int = 1
    ) -> Callable[[Tensor, Hidden], tuple[Tensor, Hidden]]:
        """One label at a time, as `beam_search` wants it, with so many rows for each example."""
        source = self._source(y, mask).repeated(rows)

        def step(labels: Tensor, state: Hidden) -> tuple[Tensor, Hidden]:
            logits, state = self._steps(labels.unsqueeze(1), source, state)
            return F.log_softmax(logits.squeeze(1).float(), -1), state

        return step

    def _source(self, y: Tensor, mask: Tensor) -> Source:
        return Source(y, y, mask) if self.attention is None else self.attention.source(y, mask)

    def _begin(self, summary: Tensor) -> Hidden:
        return torch.tanh(self.from_summary(summary)).chunk(self.states, dim=1)

    def _shifted(self, labels: Tensor) -> Tensor:
        """What is told at each step: the label before."""
        return torch.cat([torch.full_like(labels[:, :1], self.begin), labels[:, :-1]], dim=1)

    def _steps(self, told: Tensor, source: Source, state: Hidden) -> tuple[Tensor, Hidden]:
        recalled, state = self.recurrence(self.drop_labels(self.embed(told)), state)
        parts = [recalled]
        if self.attention is not None:
            parts.append(self.attention(recalled, source))
        combined = torch.tanh(self.combine(torch.cat(parts, dim=-1)))
        return self.output(self.drop_combined(combined)), state

"""Connectionist temporal classification: its loss, and what a model says read as labels."""

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Logarithms = tuple[float, float]
"""Of the probabilities that a prefix was said and a blank came last, and that a label came last."""
NEVER: Logarithms = (-math.inf, -math.inf)


class CTCLoss(torch.autograd.Function):
    """torch's loss; of several trials at once, it treats their sequences as one larger batch.

    Its gradient is worked out with it, because torch would need a loop over trials for either.

    Reference:
        Graves et al., "Connectionist temporal classification", ICML 2006.
    """

    @staticmethod
    def forward(logits: Tensor, labels: Tensor, steps: Tensor, counts: Tensor) -> Any:
        """Nats of every sequence, (batch,), and their gradient.

        Args:
            logits: (batch, time, labels + 1), the blank last.
            labels: (batch, places), padded.
            steps: (batch,) real ones.
            counts: (batch,) labels.
        """
        with torch.enable_grad():
            leaf = logits.detach().requires_grad_()
            losses = F.ctc_loss(
                leaf.log_softmax(-1).transpose(0, 1),
                labels,
                steps,
                counts,
                blank=logits.shape[-1] - 1,
                reduction="none",
            )
            (gradient,) = torch.autograd.grad(losses.sum(), leaf)
        return losses.detach(), gradient

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, Tensor]) -> None:
        """Keep the gradient."""
        ctx.save_for_backward(output[1])
        ctx.mark_non_differentiable(output[1])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        """Of the logits."""
        (gradient,) = ctx.saved_tensors
        return gradients[0][..., None, None] * gradient, None, None, None

    @staticmethod
    def vmap(info: Any, places: tuple[int | None, ...], *tensors: Tensor) -> Any:
        """All trials' sequences in one batch."""
        members = info.batch_size

        def flat(tensor: Tensor, place: int | None) -> Tensor:
            if place is None:
                return tensor.expand(members, *tensor.shape).flatten(0, 1)
            return tensor.movedim(place, 0).flatten(0, 1)

        found = CTCLoss.apply(*map(flat, tensors, places))  # type: ignore[no-untyped-call] # torch leaves it so
        return tuple(each.unflatten(0, (members, -1)) for each in found), (0, 0)


def ctc_losses(logits: Tensor, mask: Tensor, labels: Tensor, label_mask: Tensor) -> Tensor:
    """(batch,) nats of the labels, over all their alignments with the real steps.

    Infinite where the steps cannot hold the labels: one for each, and a blank between equal ones.

    Args:
        logits: (batch, time, labels + 1), the blank last.
        mask: (batch, time).
        labels: (batch, places).
        label_mask: (batch, places).
    """
    counts = mask.sum(1), label_mask.sum(1)
    losses: Tensor = CTCLoss.apply(logits, labels, *counts)[0]  # type: ignore[no-untyped-call] # torch leaves it so
    return losses


def greedy_labels(logits: Tensor, mask: Tensor) -> list[list[int]]:
    """What is most probable at each step, repetitions and then blanks left out.

    Args:
        logits: (batch, time, labels + 1), the blank last.
        mask: (batch, time).
    """
    best = logits.argmax(-1)
    said = mask & (best != logits.shape[-1] - 1)
    said[:, 1:] &= best[:, 1:] != best[:, :-1]
    return [row[kept].tolist() for row, kept in zip(best.cpu(), said.cpu(), strict=True)]


def beam_labels(
    log_probabilities: Sequence[Sequence[float]], width: int
) -> tuple[list[int], float]:
    """The most probable labels that a search over prefixes finds, and their log probability.

    A prefix gathers the probabilities of all its alignments. After each step the best `width` are
    kept; with as many as there are prefixes, the answer is exact.

    Args:
        log_probabilities: (time, labels + 1), the blank last.

    Reference:
        Graves, "Supervised sequence labelling with recurrent neural networks", 2012, section 7.5;
        Hannun et al., "First-pass large vocabulary continuous speech recognition using
        bi-directional recurrent DNNs", 2014, for this form.
    """
    beam: dict[tuple[int, ...], Logarithms] = {(): (0.0, -math.inf)}
    for step in log_probabilities:
        longer: dict[tuple[int, ...], Logarithms] = defaultdict(lambda: NEVER)
        for prefix, (blank, label) in beam.items():
            either = _add(blank, label)
            before = longer[prefix]
            again = label + step[prefix[-1]] if prefix else -math.inf
            longer[prefix] = (_add(before[0], either + step[-1]), _add(before[1], again))
            for new, log_probability in enumerate(step[:-1]):
                grown = (*prefix, new)
                begun = blank if prefix[-1:] == (new,) else either
                before = longer[grown]
                longer[grown] = (before[0], _add(before[1], begun + log_probability))
        kept = sorted(longer, key=lambda prefix: _add(*longer[prefix]), reverse=True)[:width]
        beam = {prefix: longer[prefix] for prefix in kept}
    best = next(iter(beam))
    return list(best), _add(*beam[best])


def _add(one: float, other: float) -> float:
    """The logarithm of the sum of what two logarithms are of."""
    low, high = sorted((one, other))
    return high if low == -math.inf else high + math.log1p(math.exp(low - high))

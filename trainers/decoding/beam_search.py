"""Search for the most probable sequence of a model that goes from label to label."""

from collections.abc import Callable

import torch
from torch import Tensor

Hidden = tuple[Tensor, ...]
Step = Callable[[Tensor, Hidden], tuple[Tensor, Hidden]]
"""From the last labels (rows,) and a state to log probabilities (rows, classes) and a new state."""


def beam_search(
    step: Step,
    state: Hidden,
    *,
    begin: int,
    end: int,
    width: int,
    longest: int,
    length_power: float = 0.0,
) -> tuple[list[list[int]], Tensor]:
    """The best sequence for every example, without its end, and its log probability, (examples,).

    After each step the best `width` hypotheses of an example are kept, ended ones among them; with
    as many as there are sequences, the answer is exact, with one it is greedy.

    Args:
        state: (examples * width, ...) the rows of an example side by side and alike.
        begin: The label that `step` is told first.
        end: The label that ends a sequence.
        longest: Labels after which a sequence is cut off.
        length_power: Log probabilities are divided by this power of the length, the end counted, so
            that long sequences have their chance; with 0 they are compared as they are.

    Reference:
        Sutskever et al., "Sequence to sequence learning with neural networks", NeurIPS 2014; Wu et
        al., "Google's neural machine translation system", 2016, for the length.
    """
    examples = state[0].shape[0] // width
    scores = state[0].new_full((examples, width), float("-inf"))
    scores[:, 0] = 0.0  # else every hypothesis would be the same
    labels = torch.full((examples, width), begin, device=scores.device)
    said = labels.new_empty((examples, width, 0))
    ended = torch.zeros_like(labels, dtype=torch.bool)
    lengths = torch.zeros_like(scores)
    first_rows = torch.arange(examples, device=scores.device).unsqueeze(1) * width
    for _ in range(longest):
        told, state = step(labels.flatten(), state)
        told = told.view(examples, width, -1)
        stay = torch.full_like(told[0, 0], float("-inf"))
        stay[end] = 0.0
        totals = scores.unsqueeze(2) + torch.where(ended.unsqueeze(2), stay, told)
        lengths = lengths + ~ended
        ranks = (totals / lengths.unsqueeze(2) ** length_power).flatten(1)
        places = ranks.topk(width, dim=1).indices
        came_from, labels = places // told.shape[2], places % told.shape[2]
        scores = totals.flatten(1).gather(1, places)
        lengths = lengths.gather(1, came_from)
        ended = ended.gather(1, came_from) | (labels == end)
        said = torch.cat([said.take_along_dim(came_from.unsqueeze(2), 1), labels.unsqueeze(2)], 2)
        rows = (first_rows + came_from).flatten()
        state = tuple(part.index_select(0, rows) for part in state)
        if bool(ended.all()):
            break
    return [_until(end, row) for row in said[:, 0].tolist()], scores[:, 0]


def _until(end: int, labels: list[int]) -> list[int]:
    return labels[: labels.index(end)] if end in labels else labels

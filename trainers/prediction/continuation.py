"""How a language model goes on with a text, and how likely it finds the text."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from trainers.backbone import can_stream
from trainers.data.batch import Batch
from trainers.data.streams import PASSAGE
from trainers.model import SequenceModel
from trainers.randomness import generator, key

TOKENS: Final = 100
"""How many tokens a text is gone on with."""

Read = Callable[[Tensor], Tensor]
"""From the next tokens, (time,), at most a passage, to logits for what follows each."""


@dataclass(frozen=True, slots=True)
class Continued:
    """What a model says of a text.

    Attributes:
        nats: Of the average token after the first; None where there is but one.
        tokens: What comes after the text.
    """

    nats: float | None
    tokens: list[int]


def continued(model: SequenceModel, batch: Batch) -> list[Continued]:
    """Go on with each text; tokens are drawn by their probabilities, always the same ones."""
    lengths = batch.mask.sum(1).tolist()
    rows = zip(batch.inputs, lengths, batch.indices.tolist(), strict=True)
    return [_continue(_reader(model), text[:length], place) for text, length, place in rows]


def _continue(read: Read, text: Tensor, place: int) -> Continued:
    nats, last = 0.0, torch.empty(0)
    for part in torch.split(text, PASSAGE):
        logits = read(part)
        foretold = torch.cat([last.view(-1, logits.shape[1]), logits[:-1]])
        nats += F.cross_entropy(foretold, part[len(part) - len(foretold) :], reduction="sum").item()
        last = logits[-1]
    random = generator(key(0, "continuation", place))
    tokens: list[int] = []
    for _ in range(TOKENS):
        token = torch.multinomial(last.softmax(0), 1, generator=random)
        tokens.append(int(token))
        last = read(token)[-1]
    return Continued(nats / (len(text) - 1) if len(text) > 1 else None, tokens)


def _reader(model: SequenceModel) -> Read:
    """Of a text from its beginning: with the state carried on, where the model has one.

    One without a state sees a passage at once and no more.
    """
    if can_stream(type(model.backbone)):
        state = model.initial_state(1)

        def go_on(tokens: Tensor) -> Tensor:
            nonlocal state
            outputs, state = model.advance(tokens.unsqueeze(0), state)
            return outputs[0].float()

        return go_on

    seen = torch.empty(0, dtype=torch.int64)

    def read_again(tokens: Tensor) -> Tensor:
        nonlocal seen
        seen = torch.cat([seen, tokens])[-PASSAGE:]
        outputs: Tensor = model(seen.unsqueeze(0), torch.ones(1, len(seen), dtype=torch.bool))
        return outputs[0, -len(tokens) :].float()

    return read_again

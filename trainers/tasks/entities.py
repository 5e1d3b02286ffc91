"""Entities in sequences of B-, I- and O tags."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import torch
from torch import Tensor

BIO_TAG: Final = re.compile(r"O|[BI](-.+)?")


@dataclass(frozen=True, slots=True)
class TagTable:
    """What every tag means.

    Attributes:
        kinds: (tags,) the kind of entity, as a number.
        opens: (tags,) bool, whether it is a B.
        inside: (tags,) bool, whether it is no O.
    """

    kinds: Tensor
    opens: Tensor
    inside: Tensor


@dataclass(frozen=True, slots=True)
class Entities:
    """The entities of some sequences, (batch, steps) each.

    Attributes:
        begins: Whether an entity begins there.
        kinds: Of what kind it is.
        ends: The step after its last one.
    """

    begins: Tensor
    kinds: Tensor
    ends: Tensor


def are_bio(tags: Sequence[str]) -> bool:
    """Whether tags mark entities: `O`, `B-kind` and `I-kind` alone, and not only `O`."""
    return all(BIO_TAG.fullmatch(tag) for tag in tags) and any(tag != "O" for tag in tags)


@lru_cache(maxsize=16)
def tag_table(tags: tuple[str, ...], device: torch.device) -> TagTable:
    """What every tag means, by its number."""
    names = [tag[2:] for tag in tags]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return TagTable(
        torch.tensor([numbers[name] for name in names], device=device),
        torch.tensor([tag.startswith("B") for tag in tags], device=device),
        torch.tensor([tag != "O" for tag in tags], device=device),
    )


def entities(tags: Tensor, real: Tensor, table: TagTable) -> Entities:
    """The entities that tags (batch, steps) mark, padding aside.

    An entity begins at a B, and also at an I that follows no tag of its kind; it ends before the
    next beginning or O. So any sequence of tags can be read, as the CoNLL evaluation does.

    Reference:
        Tjong Kim Sang and De Meulder, "Introduction to the CoNLL-2003 shared task", 2003; seqeval
        reads tags so unless it is told to be strict.
    """
    inside = table.inside[tags] & real
    kinds = table.kinds[tags]
    goes_on = inside[:, 1:] & inside[:, :-1] & (kinds[:, 1:] == kinds[:, :-1])
    begins = inside.clone()
    begins[:, 1:] &= table.opens[tags[:, 1:]] | ~goes_on
    steps = torch.arange(tags.shape[1], device=tags.device).expand_as(tags)
    stops = torch.where(begins | ~inside, steps, tags.shape[1])
    after = torch.nn.functional.pad(stops[:, 1:], (0, 1), value=tags.shape[1])
    ends = after.flip(1).cummin(1).values.flip(1)
    return Entities(begins, kinds, ends)

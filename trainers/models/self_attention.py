"""Multi-head self-attention within a window: whole sequences and streams."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spaces import Choice, SearchSpace
from trainers.backbone import State
from trainers.models.attention import attention, rotate, windowed_attention, within_window
from trainers.models.residual import Mixer, check_at_least_one


class SelfAttention(Mixer):
    """Multi-head self-attention with rotary positions.

    Queries, keys and values have no bias: one of the keys would get no gradient, since it moves
    all scores of a query alike.

    Args:
        num_heads: Must divide `hidden_size` into heads of an even size.
        attention_window: A step sees less than so many steps back, and ahead if not causal. A
            stream keeps the keys and values of that many steps but one, whatever its length.

    Raises:
        ValueError: A size below 1, or heads that do not fit.

    Reference:
        Vaswani et al., "Attention is all you need", arXiv 1706.03762.
    """

    def __init__(
        self, hidden_size: int, *, causal: bool, num_heads: int, attention_window: int
    ) -> None:
        super().__init__()
        check_at_least_one(num_heads=num_heads, attention_window=attention_window)
        if hidden_size % num_heads:
            raise ValueError(
                f"`num_heads` must divide `hidden_size`, got {num_heads} and {hidden_size}"
            )
        if hidden_size // num_heads % 2:
            raise ValueError(
                f"the size of a head must be even, because rotary positions turn pairs of "
                f"features; got {num_heads} heads for a hidden size of {hidden_size}"
            )
        self.num_heads = num_heads
        self.window = attention_window
        self.causal = causal
        self.project = nn.Linear(hidden_size, 3 * hidden_size, bias=False)
        self.output = nn.Linear(hidden_size, hidden_size)

    @classmethod
    def space(cls, causal: bool) -> SearchSpace:
        """See `Mixer.space`."""
        return SearchSpace(
            {
                "num_heads": Choice((1, 2, 4, 8), default=4),
                "attention_window": Choice((64, 128, 256, 512, 1024), default=256),
            }
        )

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """See `Mixer.forward`."""
        queries, keys, values = (self._heads(part) for part in self.project(x).chunk(3, dim=-1))
        mixed = windowed_attention(
            rotate(queries, 0),
            rotate(keys, 0),
            values,
            mask,
            window=self.window,
            causal=self.causal,
        )
        return self._merge(mixed)

    def initial_state(self, batch_size: int) -> State:
        """Keys and values of the steps before, without positions, and which of them are there."""
        past, width = self.window - 1, self.output.in_features
        weight = self.output.weight
        return {
            "keys": weight.new_zeros(batch_size, past, width),
            "values": weight.new_zeros(batch_size, past, width),
            "filled": torch.zeros(batch_size, past, dtype=torch.bool, device=weight.device),
        }

    def advance(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """See `Mixer.advance`; a long chunk is taken a window at a time."""
        mixed = []
        for piece in torch.split(x, self.window, dim=1):
            y, state = self._advance(piece, state)
            mixed.append(y)
        return torch.cat(mixed, dim=1), state

    def _advance(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        queries, keys, values = self.project(x).chunk(3, dim=-1)
        keys = torch.cat((state["keys"], keys), dim=1)
        values = torch.cat((state["values"], values), dim=1)
        filled = F.pad(state["filled"], (0, x.shape[1]), value=True)
        past = self.window - 1
        seen = filled[:, None, None, :].expand(-1, -1, x.shape[1], -1)
        # Positions count from this chunk on: only distances matter, and angles stay small.
        mixed = attention(
            rotate(self._heads(queries), 0),
            rotate(self._heads(keys), -past),
            self._heads(values),
            seen & within_window(seen, past, self.window, causal=True),
        )
        start = keys.shape[1] - past
        state = {"keys": keys[:, start:], "values": values[:, start:], "filled": filled[:, start:]}
        return self._merge(mixed), state

    def _heads(self, x: Tensor) -> Tensor:
        """(batch, time, hidden_size) -> (batch, heads, time, head size)."""
        return x.view(*x.shape[:2], self.num_heads, -1).transpose(1, 2)

    def _merge(self, mixed: Tensor) -> Tensor:
        merged: Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return merged

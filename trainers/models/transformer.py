"""Transformer encoder: pre-norm, rotary positions, attention within a window."""

from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from spaces import Choice, Config, Float, Int, SearchSpace
from trainers.backbone import State
from trainers.models.residual import Mixer, ResidualStack, check_at_least_one
from trainers.models.self_attention import SelfAttention


class FeedForward(Mixer):
    """Two linear maps of each step with a GELU between.

    Args:
        multiple: How many times wider than `hidden_size` it is in between.

    Raises:
        ValueError: `multiple` is below 1.
    """

    def __init__(self, hidden_size: int, *, causal: bool, multiple: int) -> None:
        super().__init__()
        check_at_least_one(multiple=multiple)
        self.widen = nn.Linear(hidden_size, multiple * hidden_size)
        self.narrow = nn.Linear(multiple * hidden_size, hidden_size)

    @classmethod
    def space(cls, causal: bool) -> SearchSpace:
        """See `Mixer.space`."""
        return SearchSpace({"multiple": Choice((1, 2, 4), default=2)})

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """See `Mixer.forward`."""
        y: Tensor = self.narrow(F.gelu(self.widen(x)))
        return y

    def initial_state(self, batch_size: int) -> State:
        """No step depends on another."""
        return {}

    def advance(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """See `Mixer.advance`."""
        y: Tensor = self.narrow(F.gelu(self.widen(x)))
        return y, state


class Transformer(ResidualStack):
    """Layers of self-attention and feed-forward; the width is `num_heads * head_size`.

    Dropout falls on the input projection and on what each sub-layer adds, not on attention weights.

    Args:
        head_size: Features per head; even.
        feed_forward_multiple: Width of the feed-forward layers over that of the model.
        attention_window: See `SelfAttention`.
    """

    reference: ClassVar[str] = (
        "Vaswani et al., Attention is all you need, arXiv 1706.03762; pre-norm: Xiong et al., "
        "arXiv 2002.04745; rotary positions: Su et al., RoFormer, arXiv 2104.09864"
    )
    width: ClassVar[str] = "head_size"

    def __init__(
        self,
        input_size: int,
        *,
        causal: bool,
        num_layers: int,
        num_heads: int,
        head_size: int,
        feed_forward_multiple: int,
        attention_window: int,
        dropout: float,
    ) -> None:
        check_at_least_one(
            num_layers=num_layers,
            num_heads=num_heads,
            head_size=head_size,
            feed_forward_multiple=feed_forward_multiple,
        )
        width = num_heads * head_size
        mixers: list[Mixer] = []
        for _ in range(num_layers):
            mixers += (
                SelfAttention(
                    width, causal=causal, num_heads=num_heads, attention_window=attention_window
                ),
                FeedForward(width, causal=causal, multiple=feed_forward_multiple),
            )
        super().__init__(input_size, mixers, hidden_size=width, causal=causal, dropout=dropout)

    @classmethod
    def space(cls, causal: bool) -> SearchSpace:
        """See `Backbone.space`."""
        return SearchSpace(
            {
                "num_layers": Int(1, 6, default=2),
                **SelfAttention.space(causal).children,
                "head_size": Choice((8, 16, 32), default=16),
                "feed_forward_multiple": Choice((1, 2, 4), default=2),
                "dropout": Float(0.0, 0.5, default=0.1),
            }
        )

    @classmethod
    def width_step(cls, settings: Config) -> int:
        """Two: rotary positions turn pairs of features."""
        return 2

"""State-space model: residual layers of diagonal state spaces."""

from typing import ClassVar

from spaces import Float, Int, SearchSpace
from trainers.models.residual import ResidualStack, check_at_least_one
from trainers.models.s4d import S4D


class SSM(ResidualStack):
    """Residual layers of diagonal state spaces.

    Args:
        num_layers: Layers of `S4D`; the other keywords but `dropout` are its own.
        dropout: After the input projection and after every layer.
    """

    reference: ClassVar[str] = (
        "Gu, Gupta, Goel and Re, On the parameterization and initialization of diagonal state "
        "space models, arXiv 2206.11893"
    )

    def __init__(  # noqa: PLR0913 # one keyword for each setting of its space
        self,
        input_size: int,
        *,
        causal: bool,
        hidden_size: int,
        num_layers: int,
        dropout: float,
        state_size: int,
        initialisation: str,
        discretisation: str,
        mixing: str,
        min_time_step: float,
        bidirectional: bool = False,
    ) -> None:
        check_at_least_one(hidden_size=hidden_size, num_layers=num_layers)
        mixers = (
            S4D(
                hidden_size,
                causal=causal,
                state_size=state_size,
                initialisation=initialisation,
                discretisation=discretisation,
                mixing=mixing,
                min_time_step=min_time_step,
                bidirectional=bidirectional,
            )
            for _ in range(num_layers)
        )
        super().__init__(
            input_size, mixers, hidden_size=hidden_size, causal=causal, dropout=dropout
        )

    @classmethod
    def space(cls, causal: bool) -> SearchSpace:
        """See `Backbone.space`."""
        return SearchSpace(
            {
                "hidden_size": Int(16, 256, log=True, default=64),
                "num_layers": Int(1, 6, default=2),
                "dropout": Float(0.0, 0.5, default=0.1),
                **S4D.space(causal).children,
            }
        )

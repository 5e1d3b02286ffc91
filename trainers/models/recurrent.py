"""RNN, LSTM and GRU: what each declares, and what it hands to the stack they share."""

from typing import ClassVar

from spaces import Choice, Float, SearchSpace
from trainers.models.recurrent_layer import Start
from trainers.models.recurrent_stack import Recurrent, Wiring


class RNN(Recurrent):
    """The plain recurrent network.

    Args:
        nonlinearity: "tanh" or "relu".
        recurrent_init: See `Start.recurrent`; other keywords: see `Wiring`.
    """

    reference: ClassVar[str] = 'Elman, "Finding structure in time", Cognitive Science 1990'

    @classmethod
    def space(cls, causal: bool) -> SearchSpace:
        """See `Backbone.space`."""
        return SearchSpace(
            {
                "nonlinearity": Choice(("tanh", "relu")),
                **Wiring.space(causal),
                "recurrent_init": Choice(("orthogonal", "identity", "uniform"), kind="scalar"),
            }
        )

    def __init__(  # noqa: PLR0913 # one keyword for each setting of its space
        self,
        input_size: int,
        *,
        causal: bool,
        nonlinearity: str,
        hidden_size: int,
        num_layers: int,
        dropout: float,
        variational: bool,
        input_dropout: float,
        recurrent_dropout: float,
        residual: bool,
        layer_norm: bool,
        recurrent_init: str,
        bidirectional: bool = False,
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"`nonlinearity` must be tanh or relu, got {nonlinearity!r}")
        super().__init__(
            input_size,
            causal=causal,
            cell=nonlinearity,
            start=Start(recurrent_init),
            wiring=Wiring(
                hidden_size=hidden_size,
                num_layers=num_layers,
                bidirectional=bidirectional,
                dropout=dropout,
                variational=variational,
                input_dropout=input_dropout,
                recurrent_dropout=recurrent_dropout,
                residual=residual,
                layer_norm=layer_norm,
            ),
        )


class LSTM(Recurrent):
    """Long short-term memory.

    Args:
        peephole: The gates see the cell; without a fused kernel, so several times slower.
        forget_bias: Where the forget gate's bias begins.
        recurrent_init: See `Start.recurrent`; other keywords: see `Wiring`.
    """

    reference: ClassVar[str] = (
        'Hochreiter and Schmidhuber, "Long short-term memory", Neural Computation 1997; '
        'Gers and Schmidhuber, "Recurrent nets that time and count", IJCNN 2000 (peephole)'
    )

    @classmethod
    def space(cls, causal: bool) -> SearchSpace:
        """See `Backbone.space`."""
        return SearchSpace(
            {
                **Wiring.space(causal),
                "recurrent_init": Choice(("orthogonal", "uniform"), kind="scalar", held=True),
                "forget_bias": Float(0.0, 5.0, default=1.0, held=True),
                "peephole": Choice((False, True), held=True),
            }
        )

    def __init__(  # noqa: PLR0913 # one keyword for each setting of its space
        self,
        input_size: int,
        *,
        causal: bool,
        hidden_size: int,
        num_layers: int,
        dropout: float,
        variational: bool,
        input_dropout: float,
        recurrent_dropout: float,
        residual: bool,
        layer_norm: bool,
        recurrent_init: str,
        forget_bias: float,
        peephole: bool,
        bidirectional: bool = False,
    ) -> None:
        super().__init__(
            input_size,
            causal=causal,
            cell="peephole_lstm" if peephole else "lstm",
            start=Start(recurrent_init, forget_bias),
            wiring=Wiring(
                hidden_size=hidden_size,
                num_layers=num_layers,
                bidirectional=bidirectional,
                dropout=dropout,
                variational=variational,
                input_dropout=input_dropout,
                recurrent_dropout=recurrent_dropout,
                residual=residual,
                layer_norm=layer_norm,
            ),
        )


class GRU(Recurrent):
    """The gated recurrent unit, with the reset gate after the product as in torch and cuDNN.

    Args:
        recurrent_init: See `Start.recurrent`; other keywords: see `Wiring`.
    """

    reference: ClassVar[str] = (
        'Cho et al., "Learning phrase representations using RNN encoder-decoder for statistical '
        'machine translation", EMNLP 2014'
    )

    @classmethod
    def space(cls, causal: bool) -> SearchSpace:
        """See `Backbone.space`."""
        return SearchSpace(
            {
                **Wiring.space(causal),
                "recurrent_init": Choice(("orthogonal", "uniform"), kind="scalar", held=True),
            }
        )

    def __init__(  # noqa: PLR0913 # one keyword for each setting of its space
        self,
        input_size: int,
        *,
        causal: bool,
        hidden_size: int,
        num_layers: int,
        dropout: float,
        variational: bool,
        input_dropout: float,
        recurrent_dropout: float,
        residual: bool,
        layer_norm: bool,
        recurrent_init: str,
        bidirectional: bool = False,
    ) -> None:
        super().__init__(
            input_size,
            causal=causal,
            cell="gru",
            start=Start(recurrent_init),
            wiring=Wiring(
                hidden_size=hidden_size,
                num_layers=num_layers,
                bidirectional=bidirectional,
                dropout=dropout,
                variational=variational,
                input_dropout=input_dropout,
                recurrent_dropout=recurrent_dropout,
                residual=residual,
                layer_norm=layer_norm,
            ),
        )

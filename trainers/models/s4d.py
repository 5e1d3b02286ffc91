"""The diagonal state space S4D: a convolution by FFT in training, a recurrence in a stream."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spaces import Choice, Float, Node, SearchSpace, did_you_mean
from trainers.backbone import State
from trainers.models.layers import zero_padding
from trainers.models.residual import Mixer

INITIALISATIONS = ("linear", "inverse")
DISCRETISATIONS = ("zero_order_hold", "bilinear")
MIXINGS = ("glu", "linear")
PIECE = 64
"""Steps of a stream that are taken at once; what it takes grows with their number, in memory."""
MAX_TIME_STEP = 0.1
"""The longest time step a feature starts with, as in the authors' code."""


class S4D(Mixer):
    """A bank of damped oscillators per feature, a GELU, and a map of each step across features.

    Each feature drives `state_size / 2` complex modes, x' = A x + u, read out as 2 Re(C x) + D u;
    the conjugate modes are implied. All parameters are real numbers.

    Args:
        state_size: Real size of the state per feature; even.
        initialisation: Frequencies at the start: "linear" is S4D-Lin, "inverse" is S4D-Inv.
        discretisation: "zero_order_hold" or "bilinear".
        mixing: The map across features: "glu" (gated) or "linear".
        min_time_step: Features start with time steps spread evenly in the logarithm between this
            and `MAX_TIME_STEP`; a feature looks back about 1 / time step steps.
        bidirectional: A second bank reads the later steps; only where the task is not causal.

    Raises:
        ValueError: An unknown option, an odd state size, time steps out of order, or a causal
            model asked to be bidirectional.

    Reference:
        Gu, Gupta, Goel and Re, "On the parameterization and initialization of diagonal state
        space models", arXiv 2206.11893, sections 3 and 4.
    """

    def __init__(
        self,
        hidden_size: int,
        *,
        causal: bool,
        state_size: int,
        initialisation: str,
        discretisation: str,
        mixing: str,
        min_time_step: float,
        bidirectional: bool = False,
    ) -> None:
        super().__init__()
        _check_options(initialisation, discretisation, mixing)
        _check_numbers(state_size, min_time_step)
        if causal and bidirectional:
            raise ValueError("a causal model cannot be `bidirectional`, got True; leave it out")
        self.discretisation = discretisation
        shape = (1 + bidirectional, hidden_size, state_size // 2)
        span = torch.empty(shape[:2]).uniform_(math.log(min_time_step), math.log(MAX_TIME_STEP))
        self.log_time_step = nn.Parameter(span)
        self.log_decay = nn.Parameter(torch.full(shape, math.log(0.5)))
        self.frequency = nn.Parameter(
            _frequencies(state_size, initialisation).repeat(*shape[:2], 1)
        )
        # Real and imaginary part of a complex normal number of variance 1.
        self.readout_real = nn.Parameter(torch.randn(shape) / math.sqrt(2))
        self.readout_imag = nn.Parameter(torch.randn(shape) / math.sqrt(2))
        self.skip = nn.Parameter(torch.randn(hidden_size))
        self.mix = _mixing(hidden_size, mixing)

    @classmethod
    def space(cls, causal: bool) -> SearchSpace:
        """See `Mixer.space`."""
        children: dict[str, Node] = {
            "state_size": Choice((16, 32, 64), default=32),
            "initialisation": Choice(INITIALISATIONS, kind="scalar"),
            "discretisation": Choice(DISCRETISATIONS),
            "mixing": Choice(MIXINGS),
            "min_time_step": Float(1e-4, 1e-2, log=True, default=1e-3),
        }
        if not causal:
            children["bidirectional"] = Choice((True, False))
        return SearchSpace(children)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """See `Mixer.forward`."""
        return self._mix(self._convolve(zero_padding(x, mask)) + self.skip * x)

    def kernel(self, length: int) -> Tensor:
        """What each feature answers to a single 1, (directions, hidden_size, length).

        Lags are split into coarse and fine ones, so that it takes exponentials of about twice the
        root of `length` only, and one matrix product.
        """
        log_transition, weight = self._discretise()
        fine = math.isqrt(length - 1) + 1
        lag = torch.arange(fine, device=weight.device)
        inner = torch.exp(log_transition.unsqueeze(-1) * lag)
        outer = weight.unsqueeze(-1) * torch.exp(log_transition.unsqueeze(-1) * (lag * fine))
        # Re(outer * inner), summed over the modes, as one product of real matrices
        left = torch.cat((outer.real, -outer.imag), dim=2).to(self.skip.dtype)
        right = torch.cat((inner.real, inner.imag), dim=2).to(self.skip.dtype)
        return (left.mT @ right).flatten(2)[:, :, :length]

    def initial_state(self, batch_size: int) -> State:
        """Real and imaginary part of every mode, (batch, hidden_size, state_size / 2, 2)."""
        return {"modes": self.skip.new_zeros(batch_size, *self.frequency.shape[1:], 2)}

    def advance(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """See `Mixer.advance`; a long chunk is taken in pieces, whose steps are taken at once."""
        modes = torch.complex(state["modes"][..., 0], state["modes"][..., 1]).transpose(0, 1)
        answers = []
        with torch.autocast(x.device.type, enabled=False):  # complex numbers need full precision
            powers, weight = self._transitions(min(x.shape[1], PIECE))
            kernel = (weight @ powers[..., :-1]).real.squeeze(1)
            for piece in torch.split(x.to(self.skip.dtype), PIECE, dim=1):
                here = powers[..., : piece.shape[1] + 1]
                before = (weight * modes @ here[..., 1:]).real.permute(1, 2, 0)
                answers.append(_convolved(piece, kernel[..., : piece.shape[1]]) + before)
                driven = piece.permute(2, 0, 1).to(modes.dtype) @ here[..., :-1].flip(-1).mT
                modes = modes * here[..., -1].unsqueeze(1) + driven
        y = self._mix(torch.cat(answers, dim=1) + self.skip * x)
        return y, {"modes": torch.stack((modes.real, modes.imag), dim=-1).transpose(0, 1)}

    def _transitions(self, most: int) -> tuple[Tensor, Tensor]:
        """The modes' transitions to the powers 0 to `most`, (hidden_size, modes, most + 1).

        And their weights, (hidden_size, 1, modes). By products, which take less time than as many
        exponentials.
        """
        log_transition, weight = self._discretise()
        powers = torch.exp(log_transition[0].unsqueeze(-1))
        while powers.shape[-1] < most:
            powers = torch.cat((powers, powers * powers[..., -1:]), dim=-1)
        powers = torch.cat((torch.ones_like(powers[..., :1]), powers[..., :most]), dim=-1)
        kind = self.skip.dtype.to_complex()
        return powers.to(kind), weight[0].unsqueeze(1).to(kind)

    def _discretise(self) -> tuple[Tensor, Tensor]:
        """Logarithm of each mode's transition, and its weight in the output; complex128.

        In double precision because lags multiply the rounding, and because a short time step
        cancels; these tensors, (directions, hidden_size, modes), are small.
        """
        step = self.log_time_step.double().exp().unsqueeze(-1)
        pole = torch.complex(-self.log_decay.double().exp(), self.frequency.double())
        readout = torch.complex(self.readout_real.double(), self.readout_imag.double())
        if self.discretisation == "zero_order_hold":
            log_transition = step * pole
            drive = torch.expm1(log_transition) / pole
        else:
            half = step * pole / 2
            log_transition = torch.log((1 + half) / (1 - half))
            drive = step / (1 - half)
        return log_transition, 2 * readout * drive

    def _convolve(self, x: Tensor) -> Tensor:
        """Each feature of `x` (batch, time, hidden_size) with its kernel, by FFT."""
        with torch.autocast(x.device.type, enabled=False):  # an FFT needs full precision
            return _convolved(x, *self.kernel(x.shape[1]))

    def _mix(self, y: Tensor) -> Tensor:
        mixed: Tensor = self.mix(F.gelu(y))
        return mixed


def _convolved(x: Tensor, past: Tensor, future: Tensor | None = None) -> Tensor:
    """Each feature of `x` (batch, time, hidden_size) with its kernels, (hidden_size, time)."""
    time = x.shape[1]
    size = 1 << (2 * time - 1).bit_length()
    response = F.pad(past, (0, size - time))
    if future is not None:  # later steps are negative lags, which wrap around to the end
        response = response + F.pad(future.flip(-1), (size - time, 0))
    spectrum = torch.fft.rfft(x.to(past.dtype).transpose(1, 2), size)
    y: Tensor = torch.fft.irfft(spectrum * torch.fft.rfft(response), size)
    return y[:, :, :time].transpose(1, 2)


def _frequencies(state_size: int, initialisation: str) -> Tensor:
    """Imaginary parts of the modes, (state_size / 2,): the paper's S4D-Lin and S4D-Inv."""
    n = torch.arange(state_size // 2)
    if initialisation == "linear":
        return math.pi * n
    return state_size / math.pi * (state_size / (2 * n + 1) - 1)


def _mixing(hidden_size: int, mixing: str) -> nn.Module:
    if mixing == "linear":
        return nn.Linear(hidden_size, hidden_size)
    return nn.Sequential(nn.Linear(hidden_size, 2 * hidden_size), nn.GLU(dim=-1))


def _check_options(initialisation: str, discretisation: str, mixing: str) -> None:
    for name, value, known in (
        ("initialisation", initialisation, INITIALISATIONS),
        ("discretisation", discretisation, DISCRETISATIONS),
        ("mixing", mixing, MIXINGS),
    ):
        if value not in known:
            hint = did_you_mean(value, set(known))
            raise ValueError(f"`{name}` must be one of {', '.join(known)}, got {value!r}{hint}")


def _check_numbers(state_size: int, min_time_step: float) -> None:
    if state_size < 2 or state_size % 2:
        raise ValueError(f"`state_size` must be even and at least 2, got {state_size}")
    if not 0 < min_time_step <= MAX_TIME_STEP:
        raise ValueError(
            f"`min_time_step` must be above 0 and at most {MAX_TIME_STEP}, got {min_time_step}"
        )

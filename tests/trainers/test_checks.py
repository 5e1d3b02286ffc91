"""The conformance suite finds what it is there to find: each family here breaks one promise."""

import itertools
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from spaces import Choice, Float, Int, SearchSpace
from trainers.backbone import Backbone, State
from trainers.conformance.checks import CHECKS, Finding, check_family, try_check
from trainers.models.layers import zero_padding


class Sound(Backbone):
    """Keeps every promise: a running sum, so that what is wrong below is easy to see."""

    reference = "none"

    @classmethod
    def space(cls, causal: bool) -> SearchSpace:
        return SearchSpace({"hidden_size": Int(8, 512, log=True, default=32)})

    def __init__(self, input_size: int, *, causal: bool, hidden_size: int) -> None:
        super().__init__()
        if hidden_size < 1:
            raise ValueError(f"`hidden_size` must be at least 1, got {hidden_size}")
        self.output_size = hidden_size
        self.read = nn.Linear(input_size, hidden_size)
        self.mix = nn.Linear(hidden_size, hidden_size)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        y, _ = self.advance(x, self.initial_state(x.shape[0]))
        return zero_padding(y, mask)

    def initial_state(self, batch_size: int) -> State:
        return {"sum": self.read.weight.new_zeros(batch_size, self.output_size)}

    def advance(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        sums = torch.tanh(self.read(x)).cumsum(1) + state["sum"].unsqueeze(1)
        return torch.tanh(self.mix(sums)), {"sum": sums[:, -1]}


class Misspelt(Sound):
    def __init__(self, input_size: int, *, causal: bool, hiden_size: int = 8) -> None:
        super().__init__(input_size, causal=causal, hidden_size=hiden_size)


class SwallowsKeywords(Sound):
    def __init__(self, input_size: int, *, causal: bool, hidden_size: int, **other: int) -> None:
        super().__init__(input_size, causal=causal, hidden_size=hidden_size)


class MissingDefault(Sound):
    @classmethod
    def space(cls, causal: bool) -> SearchSpace:
        more = {} if causal else {"both": Choice((False, True))}
        return SearchSpace({**super().space(causal).children, **more})

    def __init__(self, input_size: int, *, causal: bool, hidden_size: int, both: bool) -> None:
        super().__init__(input_size, causal=causal, hidden_size=hidden_size)


class WrongSize(Sound):
    def __init__(self, input_size: int, *, causal: bool, hidden_size: int) -> None:
        super().__init__(input_size, causal=causal, hidden_size=hidden_size)
        self.output_size = hidden_size
        self.mix = nn.Linear(hidden_size, hidden_size + 1)


class NotFinite(Sound):
    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return super().forward(x, mask) / 0


class NotFiniteInTraining(Sound):
    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        y = super().forward(x, mask)
        return y / 0 if self.training else y


class WrongSummary(Sound):
    def summary(self, y: Tensor, mask: Tensor) -> Tensor:
        return y


class LeavesPadding(Sound):
    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return super().forward(x, torch.ones_like(mask))


class LooksAtNeighbours(Sound):
    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        y = super().forward(x, mask)
        return zero_padding(y - y.mean(0), mask)


class SummaryOfPadding(Sound):
    def summary(self, y: Tensor, mask: Tensor) -> Tensor:
        return y.mean(1)


class SeesTheFuture(Sound):
    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        real = zero_padding(x, mask)
        return super().forward(x + real.sum(1, keepdim=True), mask)


class SeesOneStepAhead(Sound):
    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        ahead = torch.cat([zero_padding(x, mask)[:, 1:], torch.zeros_like(x[:, :1])], dim=1)
        return super().forward(x + ahead, mask)


class DeadParameter(Sound):
    def __init__(self, input_size: int, *, causal: bool, hidden_size: int) -> None:
        super().__init__(input_size, causal=causal, hidden_size=hidden_size)
        self.unused = nn.Linear(3, 3)


class NeverTheSame(Sound):
    counter: Iterator[int] = itertools.count()

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return super().forward(x, mask) * (1 + 0.001 * next(self.counter))


class HiddenState(Sound):
    def __init__(self, input_size: int, *, causal: bool, hidden_size: int) -> None:
        super().__init__(input_size, causal=causal, hidden_size=hidden_size)
        self.register_buffer("scale", 1 + torch.rand(()), persistent=False)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return super().forward(x, mask) * self.scale


class ForgetsItsState(Sound):
    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        y, _ = super().advance(x, self.initial_state(x.shape[0]))
        return zero_padding(y, mask)

    def advance(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        y, _ = super().advance(x, state)
        return y, self.initial_state(x.shape[0])


class GrowingState(Sound):
    def initial_state(self, batch_size: int) -> State:
        return super().initial_state(batch_size) | {"seen": torch.zeros(batch_size, 0)}

    def advance(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        y, after = super().advance(x, state)
        return y, after | {"seen": torch.cat([state["seen"], x[:, :, 0]], dim=1)}


class Forgetful(Sound):
    def summary(self, y: Tensor, mask: Tensor) -> Tensor:
        return super().summary(y, mask) * 1e-6


class AcceptsNonsense(Sound):
    def __init__(self, input_size: int, *, causal: bool, hidden_size: int) -> None:
        super().__init__(input_size, causal=causal, hidden_size=max(1, hidden_size))


class WrongError(Sound):
    def __init__(self, input_size: int, *, causal: bool, hidden_size: int) -> None:
        _ = 1 // hidden_size
        super().__init__(input_size, causal=causal, hidden_size=hidden_size)


class Whole(Sound):
    initial_state = Backbone.initial_state
    advance = Backbone.advance

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return zero_padding(torch.tanh(self.mix(torch.tanh(self.read(x)).cumsum(1))), mask)


class UsesTorchDropout(Sound):
    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return nn.functional.dropout(super().forward(x, mask), 0.1, self.training)


class BranchesOnValues(Sound):
    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        y = super().forward(x, mask)
        return y if y.sum() > 0 else y * 1.0


class Raises(Sound):
    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        raise RuntimeError("out of ideas")


BREAKS: list[tuple[type[Backbone], str, str]] = [
    (Misspelt, "keywords", "setting 'hidden_size' of the space is no keyword of the constructor"),
    (Misspelt, "keywords", "keyword 'hiden_size' of the constructor is no setting of the space"),
    (SwallowsKeywords, "keywords", "a misspelt setting would go unseen"),
    (MissingDefault, "keywords", "keyword 'both' needs a default, for the space lacks it here"),
    (
        WrongSize,
        "shapes",
        "outputs must be (batch, time, output_size) = (4, 9, 32), got (4, 9, 33)",
    ),
    (NotFinite, "shapes", "outputs are not finite"),
    (NotFiniteInTraining, "shapes", "outputs are not finite"),
    (WrongSummary, "shapes", "a summary must be (batch, output_size), got (4, 9, 32)"),
    (LeavesPadding, "ignores_padding", "outputs at padding must be 0, got up to"),
    (LooksAtNeighbours, "ignores_padding", "a sequence of 6 steps changes by"),
    (SummaryOfPadding, "ignores_padding", "the summary of 6 steps changes by"),
    (SeesTheFuture, "ignores_future", "inputs after step 0 change outputs up to step 0 by"),
    (SeesOneStepAhead, "ignores_future", "inputs after step 10 change outputs up to step 10 by"),
    (DeadParameter, "every_parameter_learns", "parameter unused.weight gets no gradient"),
    (NeverTheSame, "repeats", "two instances of one seed give different numbers"),
    (HiddenState, "saves_and_loads", "an instance that loaded another's state_dict gives other"),
    (ForgetsItsState, "streams", "chunks differ from the full pass by"),
    (GrowingState, "streams", "a state must keep its names and sizes, but chunk 1 changed them"),
    (Forgetful, "memorises", "after 300 steps on eight sequences the loss is still"),
    (AcceptsNonsense, "refuses_nonsense", "hidden_size = 0 is accepted"),
    (WrongError, "refuses_nonsense", "must be a ValueError in words, got ZeroDivisionError"),
    (Whole, "streams_at_all", "it defines no `initial_state` and `advance`"),
    (UsesTorchDropout, "draws_by_key", "it draws from torch's generator"),
    (BranchesOnValues, "fuses", "it cannot train as one of an array of trials"),
    (Raises, "shapes", "it raised RuntimeError: out of ideas"),
]


def test_a_sound_family_has_no_findings() -> None:
    assert check_family(Sound) == []


@pytest.mark.parametrize(("family", "check", "words"), BREAKS)
def test_a_broken_promise_is_found(family: type[Backbone], check: str, words: str) -> None:
    findings = try_check(check, family)
    assert findings
    assert all(finding.check == check for finding in findings)
    assert words in findings[0].message
    assert findings[0].advice == CHECKS[check].advice


def test_every_check_is_broken_by_a_family_above() -> None:
    assert {check for _, check, _ in BREAKS} == set(CHECKS)


def test_a_finding_names_the_settings() -> None:
    (first, second) = try_check("every_parameter_learns", DeadParameter)
    assert first.message.endswith("(default {'hidden_size': 32}, causal)")
    assert second.message.endswith("(default {'hidden_size': 32}, not causal)")
    assert isinstance(first, Finding)


class WideIsWrong(Sound):
    """Sound where it is narrow or at its default."""

    @classmethod
    def space(cls, causal: bool) -> SearchSpace:
        return SearchSpace({"hidden_size": Int(8, 512, log=True, default=9), "rate": Float(0, 1)})

    def __init__(self, input_size: int, *, causal: bool, hidden_size: int, rate: float) -> None:
        assert hidden_size <= 32, "wider than what is checked"
        super().__init__(input_size, causal=causal, hidden_size=hidden_size)
        self.rate = rate

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return super().forward(x, mask) * (1 if self.rate < 1 else float("nan"))


def test_the_largest_settings_are_tried_but_not_at_full_width() -> None:
    (first, _) = try_check("shapes", WideIsWrong)
    assert "(largest {'hidden_size': 32, 'rate': 1.0}, causal)" in first.message

"""What a backbone promises, each promise as a function that tries it on one case."""

import inspect
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spaces import Int
from trainers.backbone import Backbone, can_stream
from trainers.model import check_inputs
from trainers.models.layers import set_dropout_step
from trainers.randomness import generator, key, torch_randomness

INPUT_SIZE: Final = 3
LENGTHS: Final = (6, 1, 9, 4)
CHUNKS: Final = (1, 2, 17, 20)


@dataclass(frozen=True, slots=True)
class Case:
    """A family with one choice of settings.

    Attributes:
        name: Where in the space it lies, such as "smallest".
        device: Where it is tried, in torch's words.
    """

    family: type[Backbone]
    causal: bool
    name: str
    settings: dict[str, Any]
    device: str = "cpu"

    def build(self, seed: int = 0, dtype: torch.dtype = torch.float64) -> Backbone:
        """A fresh instance, ready to be used and not to be trained."""
        with torch_randomness(key(seed, "weights")):
            backbone = self.family(INPUT_SIZE, causal=self.causal, **self.settings)
        return backbone.to(self.device, dtype).eval()

    def noise(self, *shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
        """Normal numbers, the same each time and everywhere."""
        numbers = torch.randn(shape, generator=generator(key(seed, "noise")), dtype=dtype)
        return numbers.to(self.device)

    def ragged_batch(self, seed: int = 0) -> tuple[Tensor, Tensor]:
        """Sequences of several lengths, padded with large numbers so that a look at them shows."""
        lengths = torch.tensor(LENGTHS, device=self.device)
        mask = torch.arange(max(LENGTHS), device=self.device) < lengths.unsqueeze(1)
        x = self.noise(*mask.shape, INPUT_SIZE, seed=seed)
        x = torch.where(mask.unsqueeze(2), x, 30.0 * self.noise(*x.shape, seed=seed + 1))
        check_inputs(x, mask)
        return x, mask

    def whole(self, batch_size: int, steps: int) -> Tensor:
        """The mask of sequences without padding."""
        return torch.ones(batch_size, steps, dtype=torch.bool, device=self.device)


Promise = Callable[[Case], Iterator[str]]
"""Tries a case, and gives in words what is wrong with it."""


def keywords(case: Case) -> Iterator[str]:
    """The constructor's keywords are the keys of the space.

    One that only causal, or only other instances have must have a default.
    """
    given = inspect.signature(case.family).parameters.values()
    named = {p.name: p for p in given if p.kind is inspect.Parameter.KEYWORD_ONLY}
    named.pop("causal", None)
    declared, elsewhere = (
        set(case.family.space(causal).children) for causal in (case.causal, not case.causal)
    )
    for name in sorted(declared - set(named)):
        yield f"setting {name!r} of the space is no keyword of the constructor"
    for name in sorted(set(named) - declared):
        if name not in elsewhere:
            yield f"keyword {name!r} of the constructor is no setting of the space"
        elif named[name].default is inspect.Parameter.empty:
            yield f"keyword {name!r} needs a default, for the space lacks it here"
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in given):
        yield "the constructor takes **keywords, so that a misspelt setting would go unseen"


def refuses_nonsense(case: Case) -> Iterator[str]:
    """A count or size of 0 is refused by the constructor in words, as a `ValueError`."""
    for name, node in case.family.space(case.causal).children.items():
        if not isinstance(node, Int) or node.low < 1:
            continue
        nonsense = replace(case, settings=case.settings | {name: 0})
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                nonsense.build()
        except ValueError:
            continue
        except Exception as error:
            yield f"{name} = 0 must be a ValueError in words, got {type(error).__name__}: {error}"
        else:
            yield f"{name} = 0 is accepted"


def shapes(case: Case) -> Iterator[str]:
    """(batch, time, output_size) and a summary (batch, output_size), finite, while training too."""
    x, mask = case.ragged_batch()
    backbone = case.build()
    for training in (False, True):
        backbone.train(training)
        y = backbone(x, mask)
        expected = (*mask.shape, backbone.output_size)
        if y.shape != expected:
            yield f"outputs must be (batch, time, output_size) = {expected}, got {tuple(y.shape)}"
            return
        summary = backbone.summary(y, mask)
        if summary.shape != (len(x), backbone.output_size):
            yield f"a summary must be (batch, output_size), got {tuple(summary.shape)}"
        if not (torch.isfinite(y[mask]).all() and torch.isfinite(summary).all()):
            yield "outputs are not finite"


def ignores_padding(case: Case) -> Iterator[str]:
    """Padding and neighbours in the batch change nothing, and outputs at padding are 0."""
    x, mask = case.ragged_batch()
    backbone = case.build()
    y = backbone(x, mask)
    summary = backbone.summary(y, mask)
    if y[~mask].abs().max() > 0:
        yield f"outputs at padding must be 0, got up to {y[~mask].abs().max():.1e}"
    for row, length in enumerate(LENGTHS):
        alone_mask = mask[row : row + 1, :length]
        alone = backbone(x[row : row + 1, :length], alone_mask)
        off = (y[row, :length] - alone[0]).abs().max()
        if off > 1e-10:
            yield f"a sequence of {length} steps changes by {off:.1e} when batched and padded"
        off = (summary[row] - backbone.summary(alone, alone_mask)[0]).abs().max()
        if off > 1e-10:
            yield f"the summary of {length} steps changes by {off:.1e} when batched and padded"


def ignores_future(case: Case) -> Iterator[str]:
    """Of a causal instance, later inputs never change earlier outputs."""
    if not case.causal:
        return
    steps = 12
    x, mask = case.noise(2, steps, INPUT_SIZE), case.whole(2, steps)
    backbone = case.build()
    y = backbone(x, mask)
    for now in (0, 1, 5, steps - 2):
        other = x.clone()
        other[:, now + 1 :] = 30.0 * case.noise(2, steps - now - 1, INPUT_SIZE, seed=now + 1)
        off = (backbone(other, mask)[:, : now + 1] - y[:, : now + 1]).abs().max()
        if off > 1e-10:
            yield f"inputs after step {now} change outputs up to step {now} by {off:.1e}"


def every_parameter_learns(case: Case) -> Iterator[str]:
    """No parameter is without a gradient."""
    x, mask = case.ragged_batch()
    backbone = case.build()
    y = backbone(x, mask)
    (y * case.noise(*y.shape, seed=7)).sum().backward()
    for name, parameter in backbone.named_parameters():
        if parameter.grad is None or not parameter.grad.abs().max() > 0:
            yield f"parameter {name} gets no gradient"


def repeats(case: Case) -> Iterator[str]:
    """The same seed gives the same numbers, and the same dropout."""
    x, mask = case.ragged_batch()
    outputs = []
    for _ in range(2):
        backbone = case.build(seed=3).train()
        set_dropout_step(backbone, seed=3, step=5)
        with torch_randomness(1):
            outputs.append(backbone(x, mask))
    if not torch.equal(*outputs):
        yield "two instances of one seed give different numbers"


def saves_and_loads(case: Case) -> Iterator[str]:
    """`state_dict` holds all that decides the outputs."""
    x, mask = case.ragged_batch()
    saved, loaded = case.build(seed=1), case.build(seed=2)
    loaded.load_state_dict(saved.state_dict())
    if not torch.equal(saved(x, mask), loaded(x, mask)):
        yield "an instance that loaded another's state_dict gives other numbers"


def streams(case: Case) -> Iterator[str]:
    """Chunk after chunk gives what the full pass gives, with a state that does not grow."""
    if not case.causal or not can_stream(case.family):
        return
    for dtype, tolerance in ((torch.float64, 1e-8), (torch.float32, 1e-4)):
        backbone = case.build(dtype=dtype)
        x = case.noise(2, sum(CHUNKS), INPUT_SIZE, dtype=dtype)
        full = backbone(x, case.whole(*x.shape[:2]))
        state = backbone.initial_state(2)
        form = {name: value.shape for name, value in state.items()}
        parts = []
        for chunk in x.split(CHUNKS, dim=1):  # type: ignore[no-untyped-call] # torch leaves it so
            y, state = backbone.advance(chunk, state)
            parts.append(y)
            if {name: value.shape for name, value in state.items()} != form:
                yield f"a state must keep its names and sizes, but chunk {len(parts)} changed them"
                return
        off = (torch.cat(parts, dim=1) - full).abs().max() / full.abs().max()
        if not off <= tolerance:
            yield f"chunks differ from the full pass by {off:.1e} of its size in {dtype}"


def memorises(case: Case) -> Iterator[str]:
    """With regularisation off it learns to tell eight random sequences apart."""
    lengths = torch.tensor([5, 6, 7, 8] * 2)
    mask = (torch.arange(8) < lengths.unsqueeze(1)).to(case.device)
    x, labels = case.noise(8, 8, INPUT_SIZE, dtype=torch.float32), torch.arange(8).to(case.device)
    backbone = case.build(dtype=torch.float32)
    with torch_randomness(2):
        head = nn.Linear(backbone.output_size, 8).to(case.device)
    optimizer = torch.optim.Adam([*backbone.parameters(), *head.parameters()], 5e-3)
    for _ in range(300):
        loss = F.cross_entropy(head(backbone.summary(backbone(x, mask), mask)), labels)
        if loss < 0.1:
            return
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call] # torch leaves it so
        optimizer.step()
    yield f"after 300 steps on eight sequences the loss is still {loss:.2f}"


def streams_at_all(case: Case) -> Iterator[str]:
    """A causal family should stream."""
    if case.causal and not can_stream(case.family):
        yield "it does not stream: it defines no `initial_state` and `advance`"


def draws_by_key(case: Case) -> Iterator[str]:
    """While training it should draw no numbers from torch's own stream."""
    x, mask = case.ragged_batch()
    backbone = case.build().train()
    with torch_randomness(1):
        before = _streams_of_randomness(case)
        backbone(x, mask)
        if not torch.equal(before, _streams_of_randomness(case)):
            yield "it draws from torch's generator; `Dropout` of trainers.models.layers does not"


def _streams_of_randomness(case: Case) -> Tensor:
    """The states of torch's own generators, in one tensor on the CPU."""
    states = [torch.get_rng_state()]
    if torch.device(case.device).type == "cuda":
        states.append(torch.cuda.get_rng_state(case.device))
    return torch.cat(states)


def fuses(case: Case) -> Iterator[str]:
    """Several instances should run as one under `torch.func.vmap`, without a fallback to loops."""
    members = [case.build(seed=seed).train() for seed in (1, 2)]
    batches = [case.ragged_batch(seed) for seed in (3, 4)]
    for seed, member in enumerate(members):
        set_dropout_step(member, seed=seed, step=1)
    alone = torch.stack([member(*batch) for member, batch in zip(members, batches, strict=True)])
    tensors = [dict(m.named_parameters()) | dict(m.named_buffers()) for m in members]
    stacked = {name: torch.stack([one[name] for one in tensors]) for name in tensors[0]}
    x, mask = (torch.stack(part) for part in zip(*batches, strict=True))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            # torch's attention on the CPU has no rule, and runs member by member
            warnings.filterwarnings("ignore", "There is a performance drop .*attention_for_cpu")
            fused = torch.func.vmap(lambda t, *b: torch.func.functional_call(members[0], t, b))(
                stacked, x, mask
            )
    except Exception as error:
        yield f"it cannot train as one of an array of trials: {str(error).splitlines()[0]}"
        return
    if not torch.allclose(fused, alone, rtol=0, atol=1e-10):
        yield "as one of an array of trials it gives other numbers"

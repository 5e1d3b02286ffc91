"""The attention decoder and its search, against one label at a time and against all sequences."""

import itertools
import warnings

import pytest
import torch
from torch import Tensor

from spaces import default, narrow
from trainers.decoding.beam_search import beam_search
from trainers.decoding.decoder import Attention, Decoder
from trainers.models.layers import set_dropout_step

SIZE, CLASSES, LONGEST = 5, 4, 4
END = CLASSES - 1
KINDS = [("gru", "dot"), ("lstm", "additive"), ("gru", "none"), ("lstm", "dot")]


def decoder_of(cell: str = "gru", attention: str = "additive", **settings: float) -> Decoder:
    chosen = {"attention": attention, "hidden_size": 32, **settings}
    config = default(narrow(Decoder.space(), chosen)) | {"cell": cell}
    with torch.random.fork_rng():
        torch.manual_seed(3)
        head = Decoder(SIZE, CLASSES, longest=LONGEST, **config).double()
        for parameter in head.parameters():  # far from even, so that answers differ
            torch.nn.init.normal_(parameter, std=0.6)
    return head.eval()


def encoded(lengths: tuple[int, ...] = (6, 1, 4), seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """What a backbone might give: noise, 0 at padding."""
    random = torch.Generator().manual_seed(seed)
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    y = torch.randn(*mask.shape, SIZE, generator=random, dtype=torch.float64)
    summary = torch.randn(len(lengths), SIZE, generator=random, dtype=torch.float64)
    return y * mask.unsqueeze(2), mask, summary


def targets_for(count: int) -> Tensor:
    return torch.tensor([[0, 2, 1, END], [1, 1, END, 0], [END, 0, 0, 0]])[:count]


@pytest.mark.parametrize("kind", ["additive", "dot"])
def test_attention_is_shared_out_among_real_steps(kind: str) -> None:
    attention = Attention(SIZE, 8, kind).double()
    y, mask, _ = encoded()
    hidden = torch.randn(3, 2, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    weights = attention.weights(hidden, attention.source(y, mask))
    torch.testing.assert_close(weights.sum(2), torch.ones(3, 2, dtype=torch.float64))
    assert (weights[~mask.unsqueeze(1).expand_as(weights)] == 0).all()
    assert (weights[mask.unsqueeze(1).expand_as(weights)] > 0).all()
    seen = attention(hidden, attention.source(y, mask))
    torch.testing.assert_close(seen, torch.einsum("but,bts->bus", weights, y))


def test_dot_and_additive_scores_are_those_of_the_papers() -> None:
    y, mask, _ = encoded((4,))
    hidden = torch.randn(1, 1, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    dot, additive = (Attention(SIZE, 8, kind).double() for kind in ("dot", "additive"))
    product = torch.stack([hidden[0, 0] @ dot.keys.weight @ step / 8**0.5 for step in y[0]])
    torch.testing.assert_close(dot.weights(hidden, dot.source(y, mask))[0, 0], product.softmax(0))
    assert additive.query is not None
    assert additive.energy is not None
    asked = additive.query.weight @ hidden[0, 0] + additive.query.bias
    energies = [torch.tanh(asked + additive.keys.weight @ step) for step in y[0]]
    scores = torch.stack([additive.energy.weight[0] @ energy for energy in energies])
    found = additive.weights(hidden, additive.source(y, mask))[0, 0]
    torch.testing.assert_close(found, scores.softmax(0))


@pytest.mark.parametrize(("cell", "attention"), KINDS)
def test_padding_and_neighbours_change_nothing(cell: str, attention: str) -> None:
    head = decoder_of(cell, attention)
    y, mask, summary = encoded()
    logits = head(y, mask, summary, targets_for(3))
    answers = head.decode(y, mask, summary, 3)
    for row, length in enumerate((6, 1, 4)):
        alone = (y[row : row + 1, :length], mask[row : row + 1, :length], summary[row : row + 1])
        targets = targets_for(3)[row : row + 1]
        torch.testing.assert_close(head(*alone, targets)[0], logits[row])
        assert head.decode(*alone, 3)[0] == answers[row]
        longer = torch.cat([targets, torch.zeros_like(targets)], dim=1)
        torch.testing.assert_close(head(*alone, longer)[:, :4], logits[row : row + 1])


@pytest.mark.parametrize(("cell", "attention"), KINDS)
def test_told_all_at_once_is_told_one_by_one(cell: str, attention: str) -> None:
    head = decoder_of(cell, attention)
    y, mask, summary = encoded()
    targets = targets_for(3)
    at_once = head(y, mask, summary, targets).log_softmax(-1)
    step, state = head.stepper(y, mask), head._begin(summary)
    before = torch.full((3,), head.begin)
    for place in range(targets.shape[1]):
        told, state = step(before, state)
        torch.testing.assert_close(told.double(), at_once[:, place], rtol=0, atol=1e-6)
        before = targets[:, place]


def test_no_label_sees_itself_or_those_after_it() -> None:
    head = decoder_of()
    y, mask, summary = encoded()
    logits = head(y, mask, summary, targets_for(3))
    other = targets_for(3)
    other[:, 2:] = 1
    changed = head(y, mask, summary, other)
    torch.testing.assert_close(changed[:, :3], logits[:, :3])
    assert not torch.allclose(changed[:, 3], logits[:, 3])


def greedy(head: Decoder, y: Tensor, mask: Tensor, summary: Tensor) -> list[int]:
    """One example, told in full again for each label."""
    said: list[int] = []
    while len(said) < LONGEST:
        told = torch.tensor([[*said, 0]])
        label = int(head(y, mask, summary, told)[0, -1].argmax())
        if label == END:
            break
        said.append(label)
    return said


@pytest.mark.parametrize(("cell", "attention"), KINDS)
def test_a_beam_of_one_is_greedy(cell: str, attention: str) -> None:
    head = decoder_of(cell, attention)
    y, mask, summary = encoded((6, 1, 4, 3, 5, 2))
    answers = head.decode(y, mask, summary, 1)
    assert len({tuple(answer) for answer in answers}) > 1
    for row, answer in enumerate(answers):
        rows = slice(row, row + 1)
        assert answer == greedy(head, y[rows], mask[rows], summary[rows])


@torch.no_grad()
def log_probability(head: Decoder, row: tuple[Tensor, Tensor, Tensor], said: list[int]) -> float:
    told = head(*row, torch.tensor([said])).log_softmax(-1)[0]
    return float(told[torch.arange(len(said)), torch.tensor(said)].sum())


def every_answer() -> list[list[int]]:
    """All sequences that end in time, and those that are cut off."""
    words = range(END)
    ended = [
        [*said, END]
        for length in range(LONGEST)
        for said in itertools.product(words, repeat=length)
    ]
    return [*ended, *(list(said) for said in itertools.product(words, repeat=LONGEST))]


@pytest.mark.parametrize("length_power", [0.0, 1.0])
@pytest.mark.parametrize(("cell", "attention"), KINDS[:2])
def test_a_wide_beam_finds_the_best_of_all(cell: str, attention: str, length_power: float) -> None:
    head = decoder_of(cell, attention)
    y, mask, summary = encoded()
    width = len(every_answer())
    assert width == 1 + 3 + 9 + 27 + 81
    answers, scores = beam_search(
        head.stepper(y, mask, width),
        tuple(part.repeat_interleave(width, dim=0) for part in head._begin(summary)),
        begin=head.begin,
        end=END,
        width=width,
        longest=LONGEST,
        length_power=length_power,
    )
    for row in range(3):
        example = (y[row : row + 1], mask[row : row + 1], summary[row : row + 1])
        found = {tuple(one): log_probability(head, example, one) for one in every_answer()}
        best = max(found, key=lambda one: found[one] / len(one) ** length_power)
        assert answers[row] == [label for label in best if label != END]
        assert scores[row].item() == pytest.approx(found[best], abs=1e-5)


def test_a_beam_finds_what_greedy_misses() -> None:
    """In some example at least; and never anything less probable."""
    head = decoder_of("gru", "dot")
    y, mask, summary = encoded(tuple([3] * 40), seed=5)
    found = []
    for width in (1, 50):
        _, scores = beam_search(
            head.stepper(y, mask, width),
            tuple(part.repeat_interleave(width, dim=0) for part in head._begin(summary)),
            begin=head.begin,
            end=END,
            width=width,
            longest=LONGEST,
        )
        found.append(scores)
    assert (found[1] > found[0] - 1e-5).all()
    assert (found[1] > found[0] + 1e-3).any()


def test_scheduled_sampling_tells_a_share_of_its_own_labels() -> None:
    head = decoder_of(scheduled_sampling=0.5).train()
    head.drop_labels.active = head.drop_combined.active = False
    y, mask, summary = encoded((3,) * 200)
    targets = torch.zeros(200, 6, dtype=torch.int64)
    set_dropout_step(head, seed=0, step=1)
    mixed = head(y, mask, summary, targets)
    again = head(y, mask, summary, targets)
    assert torch.equal(mixed, again)
    truth = head.eval()(y, mask, summary, targets)
    torch.testing.assert_close(mixed[:, 0], truth[:, 0])  # nothing was said before
    own = truth[:, 0].argmax(-1) != 0
    changed = (mixed[:, 1] - truth[:, 1]).abs().amax(1) > 1e-9
    assert not changed[~own].any()
    assert 0.3 < changed[own].double().mean() < 0.7
    set_dropout_step(head, seed=0, step=2)
    assert not torch.equal(head.train()(y, mask, summary, targets), mixed)
    mixed.sum().backward()  # through the labels that were told, not through the choice of them
    assert all(p.grad is not None for p in head.parameters())


@pytest.mark.parametrize("attention", ["additive", "dot", "none"])
def test_it_trains_as_one_of_an_array(attention: str) -> None:
    """With a recurrence that can; torch's fused kernels are for one trial."""
    cell = "peephole_lstm"
    members = [decoder_of(cell, attention, scheduled_sampling=rate) for rate in (0.2, 0.4)]
    for seed, member in enumerate(members):
        member.train()
        set_dropout_step(member, seed=seed, step=1)
    batches = [(*encoded(seed=seed), targets_for(3)) for seed in (1, 2)]
    alone = torch.stack([m(*batch) for m, batch in zip(members, batches, strict=True)])
    tensors = [dict(m.named_parameters()) | dict(m.named_buffers()) for m in members]
    stacked = {name: torch.stack([one[name] for one in tensors]) for name in tensors[0]}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fused = torch.func.vmap(lambda t, *b: torch.func.functional_call(members[0], t, b))(
            stacked, *(torch.stack(part) for part in zip(*batches, strict=True))
        )
    torch.testing.assert_close(fused, alone)

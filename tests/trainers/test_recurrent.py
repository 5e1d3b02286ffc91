"""Recurrent families against torch.nn with the same weights, and against equations written out."""

from collections.abc import Mapping, Sequence
from itertools import product
from random import Random
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from spaces import SearchSpace, contains, default, narrow, sample, searched
from trainers.backbone import Backbone
from trainers.models.layers import set_dropout_step
from trainers.models.recurrence.cells import CELLS, packed
from trainers.models.recurrent import GRU, LSTM, RNN
from trainers.models.recurrent_layer import RecurrentLayer, Start

INPUT_SIZE = 3
LENGTHS = (5, 1, 8, 3)
FAMILIES: list[type[Backbone]] = [RNN, LSTM, GRU]
CASES: list[tuple[type[Backbone], dict[str, Any], type[nn.RNNBase], dict[str, Any]]] = [
    (RNN, {"nonlinearity": "tanh"}, nn.RNN, {"nonlinearity": "tanh"}),
    (RNN, {"nonlinearity": "relu"}, nn.RNN, {"nonlinearity": "relu"}),
    (LSTM, {}, nn.LSTM, {}),
    (LSTM, {"peephole": True}, nn.LSTM, {}),  # peepholes begin at zero
    (GRU, {}, nn.GRU, {}),
]
NAMES = ["tanh", "relu", "lstm", "peephole", "gru"]


def make(family: type[Backbone], *, causal: bool = False, **settings: Any) -> Backbone:
    plain = {"hidden_size": 6, "num_layers": 1, "dropout": 0.0, "residual": False}
    if not causal:
        plain["bidirectional"] = False
    values = {**default(family.space(causal)), **plain, **settings}
    return family(INPUT_SIZE, causal=causal, **values).double()


def ragged() -> tuple[Tensor, Tensor, Tensor]:
    lengths = torch.tensor(LENGTHS)
    mask = torch.arange(max(LENGTHS)) < lengths.unsqueeze(1)
    x = torch.randn(*mask.shape, INPUT_SIZE, dtype=torch.float64)
    return x, mask, lengths


def torch_weights(backbone: Backbone) -> dict[str, Tensor]:
    """Our weights under the names that a stack in torch.nn gives them."""
    renamed = {}
    for name, value in backbone.named_parameters():
        stack, layer, weight = name.split(".")
        if weight != "weight_ch_l0":
            end = "_reverse" if stack == "back" else ""
            renamed[weight.removesuffix("0") + layer + end] = value
    return renamed


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize(("num_layers", "bidirectional"), list(product((1, 3), (False, True))))
@pytest.mark.parametrize(("family", "settings", "oracle", "options"), CASES, ids=NAMES)
def test_equals_torch_on_packed_sequences(
    family: type[Backbone],
    settings: Mapping[str, Any],
    oracle: type[nn.RNNBase],
    options: Mapping[str, Any],
    num_layers: int,
    bidirectional: bool,
) -> None:
    ours = make(family, num_layers=num_layers, bidirectional=bidirectional, **settings)
    theirs = oracle(
        INPUT_SIZE, 6, num_layers, batch_first=True, bidirectional=bidirectional, **options
    ).double()
    theirs.load_state_dict(torch_weights(ours))
    x, mask, lengths = ragged()
    y = ours(x, mask)
    rows = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    packed_outputs, state = theirs(rows)
    expected, _ = nn.utils.rnn.pad_packed_sequence(packed_outputs, batch_first=True)
    torch.testing.assert_close(y, expected, rtol=0, atol=1e-12)

    last = state[0] if isinstance(state, tuple) else state
    ways = 2 if bidirectional else 1
    summary = torch.cat(list(last[-ways:]), dim=1)
    torch.testing.assert_close(ours.summary(y, mask), summary, rtol=0, atol=1e-12)

    weighing = torch.randn_like(y)
    (y * weighing).sum().backward()
    (expected * weighing).sum().backward()
    for name, parameter in torch_weights(ours).items():
        torch.testing.assert_close(
            parameter.grad, theirs.get_parameter(name).grad, rtol=0, atol=1e-11
        )


def test_a_bidirectional_torch_lstm_would_see_the_padding() -> None:
    """Why the backward direction turns sequences around itself."""
    x, _, _ = ragged()
    theirs = nn.LSTM(INPUT_SIZE, 6, batch_first=True, bidirectional=True).double()
    assert (theirs(x)[0][0, :5] - theirs(x[:1, :5])[0][0]).abs().max() > 1e-3


def test_peepholes_follow_the_equations() -> None:
    layer = RecurrentLayer(
        "peephole_lstm", INPUT_SIZE, 4, recurrent_dropout=0.0, start=Start("uniform")
    ).double()
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    x = torch.randn(2, 5, INPUT_SIZE, dtype=torch.float64)
    h, c = torch.randn(2, 2, 4, dtype=torch.float64)
    y, (h_end, c_end) = layer(x, (h, c))
    assert layer.weight_ch_l0 is not None
    p_i, p_f, p_o = layer.weight_ch_l0
    w_i, w_f, w_g, w_o = layer.weight_ih_l0.chunk(4)
    u_i, u_f, u_g, u_o = layer.weight_hh_l0.chunk(4)
    b_i, b_f, b_g, b_o = (layer.bias_ih_l0 + layer.bias_hh_l0).chunk(4)
    for t in range(5):
        now = x[:, t]
        i = torch.sigmoid(now @ w_i.T + h @ u_i.T + p_i * c + b_i)
        f = torch.sigmoid(now @ w_f.T + h @ u_f.T + p_f * c + b_f)
        c = f * c + i * torch.tanh(now @ w_g.T + h @ u_g.T + b_g)
        h = torch.sigmoid(now @ w_o.T + h @ u_o.T + p_o * c + b_o) * torch.tanh(c)
        torch.testing.assert_close(y[:, t], h)
    torch.testing.assert_close((h_end, c_end), (h, c))


def test_residual_and_layer_norm_follow_their_definition() -> None:
    ours = make(GRU, num_layers=3, residual=True, layer_norm=True)
    x = torch.randn(2, 7, INPUT_SIZE, dtype=torch.float64)
    y = x
    for index in range(3):
        layer = nn.GRU(y.shape[2], 6, batch_first=True).double()
        layer.load_state_dict(ours.get_submodule(f"ahead.{index}").state_dict())
        new = nn.functional.layer_norm(layer(y)[0], (6,))
        y = y + new if index else new
    torch.testing.assert_close(ours(x, torch.ones(2, 7, dtype=torch.bool)), y)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("causal", [True, False])
def test_parameters_are_as_many_as_the_closed_form(family: type[Backbone], causal: bool) -> None:
    rng, space = Random(0), narrow(family.space(causal), {"hidden_size": {"high": 64}})
    for settings in [sample(space, rng) for _ in range(10)]:
        backbone = family(INPUT_SIZE, causal=causal, **settings)
        size, ways = settings["hidden_size"], 1 + settings.get("bidirectional", False)
        gates = {RNN: 1, LSTM: 4, GRU: 3}[family]
        per_way = 0
        for layer in range(settings["num_layers"]):
            inputs = ways * size if layer else INPUT_SIZE
            per_way += gates * size * (inputs + size + 2)
            per_way += 3 * size if settings.get("peephole") else 0
            per_way += 2 * size if settings["layer_norm"] else 0
        assert sum(p.numel() for p in backbone.parameters()) == ways * per_way


def blocks(layer: nn.Module, gates: int) -> Sequence[Tensor]:
    return layer.get_parameter("weight_hh_l0").detach().chunk(gates)


@pytest.mark.parametrize(("family", "gates"), [(RNN, 1), (LSTM, 4), (GRU, 3)])
def test_orthogonal_start(family: type[Backbone], gates: int) -> None:
    backbone = make(family, hidden_size=20, recurrent_init="orthogonal")
    for block in blocks(backbone.get_submodule("ahead.0"), gates):
        torch.testing.assert_close(
            block @ block.T, torch.eye(20, dtype=torch.float64), atol=1e-5, rtol=0
        )


def test_uniform_start_has_the_bound_of_torch() -> None:
    (block,) = blocks(
        make(RNN, hidden_size=64, recurrent_init="uniform").get_submodule("ahead.0"), 1
    )
    assert 0.11 < block.abs().max() <= 64**-0.5


def test_identity_start() -> None:
    (block,) = blocks(
        make(RNN, hidden_size=5, recurrent_init="identity").get_submodule("ahead.0"), 1
    )
    assert torch.equal(block, torch.eye(5, dtype=torch.float64))


@pytest.mark.parametrize("peephole", [False, True])
def test_the_forget_bias_is_in_the_forget_gate_alone(peephole: bool) -> None:
    layer = make(LSTM, forget_bias=2.5, peephole=peephole).get_submodule("ahead.0")
    total = layer.get_parameter("bias_ih_l0") + layer.get_parameter("bias_hh_l0")
    assert total.view(4, 6).tolist() == [[0.0] * 6, [2.5] * 6, [0.0] * 6, [0.0] * 6]


class KernelCalls(TorchFunctionMode):
    """Keeps the arguments of every call of a fused kernel."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, ...]] = []

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func in (torch.lstm, torch.gru, torch.rnn_tanh, torch.rnn_relu):
            self.calls.append(args)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("family", FAMILIES)
def test_one_kernel_call_for_each_layer_and_direction(family: type[Backbone]) -> None:
    backbone = make(family, num_layers=3, bidirectional=True, recurrent_dropout=0.3, dropout=0.2)
    x, mask, _ = ragged()
    with KernelCalls() as kernels:
        backbone(x, mask)
    assert len(kernels.calls) == 6
    assert [args[5] for args in kernels.calls] == [0.0] * 6  # torch's own dropout


@pytest.mark.parametrize("family", FAMILIES)
def test_weight_drop_is_the_fused_kernel_on_fewer_weights(family: type[Backbone]) -> None:
    backbone = make(family, hidden_size=40, recurrent_dropout=0.3)
    set_dropout_step(backbone, seed=0, step=0)
    x, mask, _ = ragged()
    with KernelCalls() as kernels:
        y = backbone(x, mask)
    whole = backbone.get_parameter("ahead.0.weight_hh_l0")
    dropped = kernels.calls[0][2][1]
    # five standard errors at the fewest weights, 40 x 40
    assert (dropped == 0).double().mean() == pytest.approx(0.3, abs=5 * (0.21 / 1600) ** 0.5)
    torch.testing.assert_close(dropped[dropped != 0], (whole / 0.7)[dropped != 0])

    other = make(family, hidden_size=40).eval()
    other.load_state_dict(backbone.state_dict())
    with torch.no_grad():
        other.get_parameter("ahead.0.weight_hh_l0").copy_(dropped)
    assert torch.equal(other(x, mask), y)
    backbone.eval()
    with KernelCalls() as kernels:
        backbone(x, mask)
    assert torch.equal(kernels.calls[0][2][1], whole)


def test_weight_drop_changes_with_the_step() -> None:
    backbone = make(LSTM, recurrent_dropout=0.5)
    x, mask, _ = ragged()
    outputs = []
    for step in (0, 1, 0):
        set_dropout_step(backbone, seed=0, step=step)
        outputs.append(backbone(x, mask))
    assert torch.equal(outputs[0], outputs[2])
    assert not torch.equal(outputs[0], outputs[1])


def dropped_outputs(**settings: Any) -> Tensor:
    backbone = make(GRU, hidden_size=32, num_layers=2, dropout=0.4, **settings)
    set_dropout_step(backbone, seed=0, step=0)
    x = torch.randn(3, 9, INPUT_SIZE, dtype=torch.float64)
    return backbone(x, torch.ones(3, 9, dtype=torch.bool)) == 0


def test_dropout_draws_anew_at_each_step_unless_variational() -> None:
    steps = dropped_outputs(variational=False)
    assert not torch.equal(steps, steps[:, :1].expand_as(steps))
    same = dropped_outputs(variational=True)
    assert torch.equal(same, same[:, :1].expand_as(same))
    for zeros in (steps[:, 0], same[:, 0]):
        assert 0.2 < zeros.double().mean() < 0.6


def test_input_dropout_takes_a_feature_from_the_whole_sequence() -> None:
    backbone = make(LSTM, input_dropout=0.5)
    set_dropout_step(backbone, seed=0, step=3)
    x, mask, _ = ragged()
    with KernelCalls() as kernels:
        backbone(x, mask)
    zeros = kernels.calls[0][0] == 0
    assert torch.equal(zeros, zeros[:, :1].expand_as(zeros))
    assert 0 < zeros.double().mean() < 1


@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_reach_back_to_the_beginning_of_a_chunk_and_no_further(
    family: type[Backbone],
) -> None:
    """What truncated backpropagation through time needs, with dropout at work."""
    backbone = make(family, causal=True, num_layers=2, dropout=0.3, recurrent_dropout=0.2)
    set_dropout_step(backbone, seed=0, step=0)
    chunks = [torch.randn(2, 4, INPUT_SIZE, dtype=torch.float64).requires_grad_() for _ in "ab"]
    _, state = backbone.advance(chunks[0], backbone.initial_state(2))
    carried = {name: value.detach().requires_grad_() for name, value in state.items()}
    y, _ = backbone.advance(chunks[1], carried)
    y[:, -1].sum().backward()
    assert chunks[0].grad is None
    assert chunks[1].grad is not None
    assert chunks[1].grad[:, 0].abs().max() > 0
    for value in carried.values():
        assert value.grad is not None
        assert value.grad.abs().max() > 0


def test_the_state_of_a_stream_is_named_and_small() -> None:
    backbone = make(LSTM, causal=True, num_layers=2)
    state = backbone.initial_state(5)
    assert {name: tuple(value.shape) for name, value in state.items()} == dict.fromkeys(
        ("hidden_0", "cell_0", "hidden_1", "cell_1"), (5, 6)
    )
    assert {value.dtype for value in state.values()} == {torch.float64}


def test_a_bidirectional_instance_does_not_stream() -> None:
    backbone = make(GRU, bidirectional=True)
    with pytest.raises(ValueError, match="streaming needs a causal model"):
        backbone.initial_state(1)
    with pytest.raises(ValueError, match="streaming needs a causal model"):
        backbone.advance(torch.zeros(1, 1, INPUT_SIZE, dtype=torch.float64), {})


@pytest.mark.parametrize(
    ("family", "settings", "words"),
    [
        (GRU, {"num_layers": 0}, "`num_layers` must be at least 1, got 0"),
        (GRU, {"hidden_size": 0}, "`hidden_size` must be at least 1, got 0"),
        (LSTM, {"dropout": 1.0}, "a dropout rate must be at least 0 and below 1, got 1.0"),
        (LSTM, {"recurrent_init": "ones"}, "`recurrent_init` must be one of orthogonal, "),
        (RNN, {"nonlinearity": "lstm"}, "`nonlinearity` must be tanh or relu, got 'lstm'"),
    ],
)
def test_nonsense_is_refused(
    family: type[Backbone], settings: Mapping[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        make(family, **settings)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_causal_task_allows_no_bidirectional_model(family: type[Backbone]) -> None:
    with pytest.raises(ValueError, match="`bidirectional` must be false"):
        make(family, causal=True, bidirectional=True)
    assert "bidirectional" not in family.space(causal=True).children
    assert "bidirectional" in family.space(causal=False).children


@pytest.mark.parametrize("family", FAMILIES)
def test_the_space_reaches_what_practitioners_use(family: type[Backbone]) -> None:
    space: SearchSpace = family.space(causal=False)
    wanted = {
        "num_layers": 6,
        "hidden_size": 256,
        "dropout": 0.5,
        "recurrent_dropout": 0.5,
        "variational": True,
        "input_dropout": 0.2,
        "residual": False,
        "layer_norm": True,
        "recurrent_init": "uniform",
    }
    assert contains(space, default(space) | wanted)


def test_a_search_leaves_the_slow_peepholes_alone_until_they_are_named() -> None:
    space = LSTM.space(causal=True)
    assert {sample(searched(space), Random(seed))["peephole"] for seed in range(20)} == {False}
    named = searched(narrow(space, {"peephole": [False, True]}))
    assert {sample(named, Random(seed))["peephole"] for seed in range(20)} == {False, True}


def test_packed_weights_lie_one_behind_the_other() -> None:
    weights = [torch.randn(size, requires_grad=True) for size in ((8, 3), (8, 2), (8,), (8,))]
    parts = packed(weights)
    start = parts[0].data_ptr()
    for part, weight in zip(parts, weights, strict=True):
        assert torch.equal(part, weight)
        assert part.is_contiguous()
        assert part.data_ptr() == start
        start += part.numel() * part.element_size()
    CELLS["lstm"].run(torch.randn(2, 5, 3), (torch.zeros(2, 2), torch.zeros(2, 2)), parts)[
        0
    ].sum().backward()
    assert all(weight.grad is not None for weight in weights)

import hashlib
import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from spaces import Config, Int, SearchSpace, build, default
from trainers.backbone import Backbone
from trainers.catalog import family_space
from trainers.data.batching import DeviceData, epoch_order
from trainers.data.dataset import Dataset, Sequences, Split
from trainers.model import build_model
from trainers.models import MODELS
from trainers.models.layers import Dropout
from trainers.tasks import Classification, MultilabelFrames, Regression, Tagging, Task
from trainers.training.evaluation import ELEMENTS
from trainers.training.gradients import Goal, Gradients
from trainers.training.loop import Training
from trainers.training.members import Members
from trainers.training.optim import training_space
from trainers.training.weights import Weights

FEATURES = 2
TASKS = {
    "classification": Classification(input_size=FEATURES, classes=2, class_weights=(1.0, 3.0)),
    "regression": Regression(input_size=FEATURES),
    "tagging": Tagging(input_size=FEATURES, classes=2, causal=True),
    "multilabel_frames": MultilabelFrames(input_size=FEATURES, labels=FEATURES),
}


def split(task: Task, examples: int, seed: int) -> Split:
    """What the task asks for can be told from the inputs; lengths differ."""
    rng = np.random.default_rng(seed)
    inputs = [
        rng.standard_normal((length, FEATURES), dtype=np.float32)
        for length in rng.integers(2, 9, examples)
    ]
    targets = {
        "classification": lambda values: np.array([int(values[:, 0].mean() > 0)]),
        "regression": lambda values: values[:, 0].mean(keepdims=True),
        "tagging": lambda values: (values[:, 0] > 0).astype(np.int64),
        "multilabel_frames": lambda values: (values > 0).astype(np.uint8),
    }[task.name]
    return Split(
        Sequences.from_list(inputs),
        Sequences.from_list([targets(values) for values in inputs]),
    )


def made_up(task: Task, examples: int = 40) -> Dataset:
    return Dataset(
        "made up", task, split(task, examples, 0), split(task, 17, 1), split(task, 13, 2), {}
    )


class Mean(Backbone):
    """One linear layer with a running mean; nothing is random, so that sums can be checked.

    Attributes:
        room: The most examples that fit in memory.
    """

    reference = "none"
    room = math.inf

    def __init__(self, input_size: int, *, causal: bool, dropout: float = 0.0) -> None:
        super().__init__()
        self.output_size = 4
        self.layer = nn.Linear(input_size, 4)
        self.dropout = Dropout(dropout)

    @classmethod
    def space(cls, causal):
        return SearchSpace({})

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        if len(x) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory (not really)")
        y = torch.tanh(self.layer(x)) * mask[..., None]
        count = mask.cumsum(1).clamp(min=1)[..., None]
        return self.dropout(y.cumsum(1) / count) * mask[..., None]


class Small(Mean):
    room = 3


def configuration(task: Task, **training) -> Config:
    head = default(task.head_space())
    settings = default(training_space(task, 1000)) | {"batch_size": 8} | training
    settings["optimizer"] = settings["optimizer"] | {"learning_rate": 0.03}
    return {"model": {"name": "mean"}, "head": head, "training": settings}


def training_of(
    task: Task,
    family: type[Backbone] = Mean,
    *,
    seed: int = 0,
    metric: str | None = None,
    **settings,
) -> Training:
    data = DeviceData(made_up(task))
    return Training(
        family, configuration(task, **settings), data, seed=seed, epochs=12, metric=metric
    )


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_training_learns_every_task(task):
    training = training_of(task)
    untrained = training.evaluate("test", best=False)
    measurements = [training.run_epoch() for _ in range(12)]
    assert [m.epoch for m in measurements] == list(range(1, 13))
    assert measurements[-1].train_loss < measurements[0].train_loss
    metric = training.metric
    trained = training.evaluate("test")
    assert metric.loss(trained.metrics[metric.name]) < metric.loss(untrained.metrics[metric.name])
    values = [m.valid[metric.name] for m in measurements]
    losses = [metric.loss(value) for value in values]
    assert training.best_epoch == 1 + losses.index(min(losses))
    assert training.best_value == values[training.best_epoch - 1]
    assert training.evaluate("valid").metrics[metric.name] == training.best_value
    json.dumps([m.to_json() for m in measurements], allow_nan=False)


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_an_evaluation_is_in_the_order_of_the_examples(task, monkeypatch):
    training = training_of(task)
    training.run_epoch()
    whole = training.evaluate("test")
    assert whole.example_losses.shape == (13,)
    expected = training.metric.loss(whole.metrics[training.metric.name])
    assert whole.example_losses.mean() == pytest.approx(expected)
    # one at a time, as the split lies
    data = DeviceData(made_up(task))
    training.model.eval()
    with torch.no_grad():
        alone = [
            task.measure(training.model(batch.inputs, batch.mask), batch)
            for batch in (data.test.batch(torch.tensor([index])) for index in range(13))
        ]
    examples = {name: torch.cat([one[name] for one in alone]).numpy() for name in alone[0]}
    losses = task.example_losses(examples, training.metric.name)
    assert whole.example_losses == pytest.approx(losses, rel=1e-5)
    monkeypatch.setitem(ELEMENTS, "cpu", 50)
    pieces = training.evaluate("test")
    assert pieces.example_losses == pytest.approx(whole.example_losses, rel=1e-5)


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_the_loop_is_a_plain_one(task):
    """Against the loop people write, with torch's own optimiser, clipping and schedule."""
    config = configuration(task, clip_norm=0.3)
    data = DeviceData(made_up(task))
    model = build_model(Mean, config, task, seed=5)
    numbers = config["training"]["optimizer"]
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=numbers["learning_rate"], weight_decay=numbers["weight_decay"]
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 3 * 5)
    for epoch in range(3):
        for indices in epoch_order(data.train, 8, seed=5, epoch=epoch):
            batch = data.train.batch(indices)
            optimizer.zero_grad()
            task.loss(model(batch.inputs, batch.mask), batch).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.3)
            optimizer.step()
            schedule.step()
    training = Training(Mean, config, data, seed=5, epochs=3)
    for _ in range(3):
        training.run_epoch()
    for name, tensor in training.model.state_dict().items():
        torch.testing.assert_close(tensor, model.state_dict()[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_a_batch_in_parts_gives_the_gradient_of_the_whole(task):
    data = DeviceData(made_up(task))
    batch = data.train.batch(torch.arange(11))
    config = configuration(task)
    found = []
    for family in (Mean, Small):
        model = build_model(family, config, task, seed=0).double()
        model.embed = Double()
        gradients = Gradients(Members([model], [Weights(model)]), [Goal(task, 0, 0.1)])
        found.append((*gradients.of(batch, [0]), gradients.parts))
    (loss, gradient, whole), (loss_in_parts, gradient_in_parts, parts) = found
    assert (whole, parts) == (1, 4)
    torch.testing.assert_close(loss, loss_in_parts)
    torch.testing.assert_close(gradient, gradient_in_parts)
    assert gradient.abs().max() > 1e-3


class Double(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.double()


def test_training_and_evaluation_go_on_in_parts_when_memory_runs_out():
    task = TASKS["regression"]
    roomy, cramped = training_of(task), training_of(task, Small)
    for _ in range(2):
        expected, got = roomy.run_epoch(), cramped.run_epoch()
        assert got.train_loss == pytest.approx(expected.train_loss, rel=1e-4)
        assert got.valid == pytest.approx(expected.valid, rel=1e-4)


def test_one_example_that_does_not_fit_ends_the_training(monkeypatch):
    monkeypatch.setattr(Small, "room", 0)
    with pytest.raises(torch.OutOfMemoryError, match="not really"):
        training_of(TASKS["regression"], Small).run_epoch()


def test_the_processors_memory_may_run_out_too(monkeypatch):
    def full(_self, x, mask):
        if len(x) > 2:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to ...")
        return Mean.forward(_self, x, mask)

    monkeypatch.setattr(Small, "forward", full)
    assert math.isfinite(training_of(TASKS["regression"], Small).run_epoch().train_loss)


def test_other_errors_are_not_taken_for_a_lack_of_memory(monkeypatch):
    def broken(_self, _x, _mask):
        raise RuntimeError("shapes do not fit")

    monkeypatch.setattr(Small, "forward", broken)
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        training_of(TASKS["regression"], Small).run_epoch()


def test_parts_of_a_batch_drop_different_units():
    task = TASKS["regression"]
    config = configuration(task)
    config["model"]["dropout"] = 0.5
    masks = []

    class Spy(Mean):
        def forward(self, x, mask):
            masks.append((self.dropout(torch.ones(4, 6)) == 0).tolist())
            return super().forward(x, mask)

    data = DeviceData(made_up(task))
    model = build_model(Spy, config, task, seed=0)
    gradients = Gradients(Members([model], [Weights(model)]), [Goal(task, 0)])
    gradients.parts = 4
    gradients.of(data.train.batch(torch.arange(8)), [0])
    gradients.of(data.train.batch(torch.arange(8)), [1])
    assert len({json.dumps(mask) for mask in masks}) == 8


@pytest.mark.parametrize("family", ["lstm", "tcn"])
def test_only_the_seed_decides(family):
    task = TASKS["classification"]

    def losses(seed: int, elsewhere: int) -> list[float]:
        torch.manual_seed(elsewhere)
        np.random.seed(elsewhere)  # noqa: NPY002 - the global stream is the point
        training = tiny_training(family, task, seed=seed)
        state = torch.get_rng_state()
        values = [training.run_epoch().train_loss for _ in range(2)]
        assert torch.equal(torch.get_rng_state(), state)
        return values

    assert losses(0, 1) == losses(0, 2)
    assert losses(0, 1) != losses(1, 1)


def tiny_training(name: str, task: Task, *, seed: int = 0) -> Training:
    family = MODELS[name]

    def choose(path, parameter):
        if isinstance(parameter, Int):
            return parameter.low
        return 0.2 if "dropout" in path else parameter.default

    config = build(family_space(family, task, 1000), choose)
    return Training(family, config, DeviceData(made_up(task, 9)), seed=seed, epochs=2)


@pytest.mark.parametrize("name", MODELS)
def test_no_family_writes_into_the_shared_arrays(name):
    dataset = made_up(TASKS["classification"], 9)
    description, arrays = dataset.to_parts()
    for array in arrays.values():
        array.flags.writeable = False
    data = DeviceData(Dataset.from_parts(description, arrays))
    before = {key: hashlib.sha256(array).hexdigest() for key, array in arrays.items()}
    training = tiny_training(name, dataset.task)
    again = Training(MODELS[name], training.config, data, seed=0, epochs=2)
    again.run_epoch()
    again.evaluate("test")
    assert {key: hashlib.sha256(array).hexdigest() for key, array in arrays.items()} == before


def test_the_metric_can_be_chosen():
    task = TASKS["classification"]
    by_loss = training_of(task, metric="log_loss")
    values = [by_loss.run_epoch().valid["log_loss"] for _ in range(4)]
    assert by_loss.best_value == min(values)
    assert training_of(task).metric.name == "accuracy"
    with pytest.raises(ValueError, match="has no metric 'acuracy'; did you mean 'accuracy'"):
        training_of(task, metric="acuracy")


def test_nothing_is_best_before_the_first_epoch():
    training = training_of(TASKS["classification"])
    assert (training.epoch, training.best_epoch, training.best_value) == (0, 0, -math.inf)
    assert training_of(TASKS["regression"]).best_value == math.inf
    for ask in (training.best_weights, lambda: training.evaluate("valid")):
        with pytest.raises(ValueError, match="no best weights before the first epoch"):
            ask()


def test_best_weights_make_the_best_model_and_leave_the_present_one():
    task = TASKS["regression"]
    training = training_of(task)
    for epoch in range(6):
        if epoch == 3:
            training.settings["optimizer"]["learning_rate"] = 1.0
        training.run_epoch()
    assert training.best_epoch < 6
    now = {name: tensor.clone() for name, tensor in training.model.state_dict().items()}
    other = build_model(Mean, training.config, task, seed=99)
    other.load_state_dict(training.best_weights())
    batch = DeviceData(made_up(task)).valid.batch(torch.arange(17))
    with torch.no_grad():
        outputs = other(batch.inputs, batch.mask)
    examples = {name: values.numpy() for name, values in task.measure(outputs, batch).items()}
    assert task.summarize(examples)["mse"] == pytest.approx(training.best_value, rel=1e-5)
    for name, tensor in training.model.state_dict().items():
        assert torch.equal(tensor, now[name])


def test_averaged_weights_are_validated_and_kept_while_training_goes_on_from_the_others():
    task, decay = TASKS["regression"], 0.8
    plain = training_of(task)
    averaged = training_of(task, weight_averaging=decay)
    steps = []
    update = plain.optimizer.update
    plain.optimizer = replace(
        plain.optimizer,
        update=lambda vector, *rest: (update(vector, *rest), steps.append(vector[0].clone())),
    )
    for epoch in range(1, 4):
        expected, got = plain.run_epoch(), averaged.run_epoch()
        assert got.train_loss == expected.train_loss
        assert torch.equal(averaged.weights.vector, plain.weights.vector)
        shares = torch.tensor([decay**age for age in range(len(steps))]).flip(0)
        mean = (torch.stack(steps) * shares[:, None]).sum(0) / shares.sum()
        judge = training_of(task)
        judge.weights.vector.copy_(mean)
        metrics = judge.evaluate("valid", best=False).metrics
        assert got.valid == pytest.approx(metrics, rel=1e-5)
        assert got.valid != expected.valid
        assert averaged.evaluate("valid", best=False).metrics == got.valid
        if averaged.best_epoch == epoch:
            judge.model.load_state_dict(averaged.best_weights())
            assert torch.allclose(judge.weights.vector, mean, atol=1e-6)
    assert averaged.evaluate("valid").metrics["mse"] == averaged.best_value

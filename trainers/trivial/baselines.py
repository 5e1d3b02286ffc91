"""What can be had without a model: the rows that every leaderboard should beat."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from trainers.data.batch import Batch
from trainers.data.dataset import Dataset, Sequences, Split
from trainers.tasks import (
    AnomalyDetection,
    Classification,
    EntityTagging,
    Forecasting,
    LanguageModelling,
    MultilabelFrames,
    Regression,
    Tagging,
    Task,
    Transduction,
)
from trainers.trivial.answers import trivial_answers
from trainers.trivial.detectors import trivial_detectors
from trainers.trivial.token_counts import Nats, counted_tokens

# From a split to what a head would say of each of its target steps: (steps, size), or
# (steps, 1, size) where a head speaks of every step; (examples, steps, size) where of several.
Predictor = Callable[[Split], np.ndarray]

STEPS_AT_ONCE = 1 << 20


@dataclass(frozen=True, slots=True)
class Baseline:
    """A trivial predictor and what it reaches, in the task's metrics."""

    name: str
    valid: dict[str, float]
    test: dict[str, float]


def baselines(dataset: Dataset) -> list[Baseline]:
    """Every trivial predictor that its kind of task knows, fitted on the train split.

    Raises:
        ValueError: There is none for this kind of task.
    """
    if isinstance(dataset.task, LanguageModelling):
        return _token_baselines(dataset, dataset.task)
    if isinstance(dataset.task, AnomalyDetection):
        return [Baseline(*row) for row in trivial_detectors(dataset)]
    if isinstance(dataset.task, Transduction):
        return [
            Baseline(
                name,
                dataset.task.summarize(measure(dataset.valid)),
                dataset.task.summarize(measure(dataset.test)),
            )
            for name, measure in trivial_answers(dataset)
        ]
    if dataset.task.name not in _PREDICTORS:
        raise ValueError(f"there is no trivial predictor for the task {dataset.task.name!r}")
    return [
        Baseline(
            name,
            _measure(dataset.task, predictor, dataset.valid),
            _measure(dataset.task, predictor, dataset.test),
        )
        for name, predictor in _PREDICTORS[dataset.task.name](dataset)
    ]


def baseline(dataset: Dataset) -> Baseline:
    """The trivial predictor with the best validation value of the task's first metric.

    Raises:
        ValueError: There is none for this kind of task.
    """
    metric = dataset.task.metric()
    return min(baselines(dataset), key=lambda row: metric.loss(row.valid[metric.name]))


def _classification(dataset: Dataset) -> Iterator[tuple[str, Predictor]]:
    assert isinstance(dataset.task, Classification)
    logits = np.log(_frequencies(_steps_of(dataset.train.targets), dataset.task.classes))
    yield "class frequencies", lambda split: np.tile(logits, (len(split), 1))


def _regression(dataset: Dataset) -> Iterator[tuple[str, Predictor]]:
    targets = _steps_of(dataset.train.targets).reshape(len(dataset.train), -1)
    mean = targets.mean(axis=0, dtype=np.float64)
    yield "mean of the targets", lambda split: np.tile(mean, (len(split), 1))


def _tagging(dataset: Dataset) -> Iterator[tuple[str, Predictor]]:
    assert isinstance(dataset.task, Tagging)
    classes = dataset.task.classes
    overall = _frequencies(_steps_of(dataset.train.targets), classes)

    def by_context(context: Callable[[Split], np.ndarray], contexts: int) -> Predictor:
        """Class frequencies within each context; few steps lean on the overall frequencies."""
        cells = context(dataset.train).astype(np.int64) * classes + _steps_of(dataset.train.targets)
        counts = np.bincount(cells, minlength=contexts * classes).reshape(contexts, classes)
        shares = (counts + overall) / (counts.sum(axis=1, keepdims=True) + 1)
        return lambda split: np.log(shares)[context(split), None]

    yield "class frequencies", by_context(lambda split: np.zeros_like(_places(split)), 1)
    if dataset.task.vocabulary is not None:
        tokens = dataset.task.vocabulary
        yield (
            "class frequencies of the token",
            by_context(lambda split: _tokens_of(split.inputs), tokens),
        )
    lengths = np.concatenate(
        [split.targets.lengths for split in (dataset.train, dataset.valid, dataset.test)]
    )
    if lengths.min() == lengths.max():
        yield "class frequencies of the step", by_context(_places, int(lengths[0]))


def _frames(dataset: Dataset) -> Iterator[tuple[str, Predictor]]:
    on = _steps_of(dataset.train.targets).astype(np.float64)
    logits = _log_odds(on.sum(axis=0), len(on))
    yield "label frequencies", lambda split: np.tile(logits, (len(_places(split)), 1, 1))
    if dataset.task.vocabulary is not None or dataset.task.input_size != on.shape[1]:
        return
    before = _steps_of(dataset.train.inputs).astype(bool)
    after_on = _log_odds((on * before).sum(axis=0), before.sum(axis=0))
    after_off = _log_odds((on * ~before).sum(axis=0), (~before).sum(axis=0))
    yield (
        "label frequencies after on and after off",
        lambda split: np.where(_steps_of(split.inputs).astype(bool), after_on, after_off)[:, None],
    )


def _forecasting(dataset: Dataset) -> Iterator[tuple[str, Predictor]]:
    task = dataset.task
    assert isinstance(task, Forecasting)
    horizon = np.arange(task.horizon)

    def repeat(season: int) -> Predictor:
        """The last `season` values over and over; they are within the look-back."""
        steps = horizon % season - season

        def predict(split: Split) -> np.ndarray:
            ends = split.inputs.starts + split.inputs.lengths
            values: np.ndarray = split.inputs.values[ends[:, None] + steps, : task.channels]
            return values

        return predict

    yield "last value", repeat(1)
    if 1 < task.season <= dataset.train.inputs.lengths.min():
        yield "seasonal naive", repeat(task.season)


def _token_baselines(dataset: Dataset, task: LanguageModelling) -> list[Baseline]:
    """From the nats of single tokens: what a head says of all tokens would not fit in memory."""
    train, valid, test = (
        (_steps_of(split.inputs).astype(np.int64), _steps_of(split.targets).astype(np.int64))
        for split in (dataset.train, dataset.valid, dataset.test)
    )

    def measure(nats: Nats, pairs: tuple[np.ndarray, np.ndarray]) -> dict[str, float]:
        values = nats(pairs)
        return task.summarize({"nats_per_token": values, "count": np.ones(len(values))})

    return [
        Baseline(name, measure(nats, valid), measure(nats, test))
        for name, nats in counted_tokens(train, task.tokens)
    ]


_PREDICTORS: dict[str, Callable[[Dataset], Iterator[tuple[str, Predictor]]]] = {
    Classification.name: _classification,
    Regression.name: _regression,
    Tagging.name: _tagging,
    EntityTagging.name: _tagging,
    MultilabelFrames.name: _frames,
    Forecasting.name: _forecasting,
}


def _steps_of(sequences: Sequences) -> np.ndarray:
    """All steps of all examples, one after another: (steps,) or (steps, size)."""
    ends = np.cumsum(sequences.lengths)
    shifts = np.repeat(sequences.starts - (ends - sequences.lengths), sequences.lengths)
    steps: np.ndarray = sequences.values[shifts + np.arange(int(ends[-1]))]
    return steps


def _tokens_of(inputs: Sequences) -> np.ndarray:
    """(steps,) of all examples; of words with their spelling, the words."""
    steps = _steps_of(inputs)
    return steps if steps.ndim == 1 else steps[:, 0]


def _places(split: Split) -> np.ndarray:
    """(steps,) the place of each target step within its example."""
    lengths = split.targets.lengths
    starts = np.repeat(np.cumsum(lengths) - lengths, lengths)
    places: np.ndarray = np.arange(int(lengths.sum())) - starts
    return places


def _frequencies(classes: np.ndarray, count: int) -> np.ndarray:
    """(count,) shares of the classes; together the classes start from one example."""
    shares: np.ndarray = (np.bincount(classes, minlength=count) + 1 / count) / (len(classes) + 1)
    return shares


def _log_odds(on: np.ndarray, total: np.ndarray | int) -> np.ndarray:
    """Log odds of on against off, each starting from half a frame."""
    odds: np.ndarray = np.log(on + 0.5) - np.log(total - on + 0.5)
    return odds


def _measure(task: Task, predictor: Predictor, split: Split) -> dict[str, float]:
    """The task's own metrics, with every target step as an example of its own.

    Where a head speaks of several steps at once, these are the example.
    """
    parts = [_measure_part(task, predictor, part) for part in _parts(split)]
    names = parts[0]
    return task.summarize({name: np.concatenate([part[name] for part in parts]) for name in names})


def _parts(split: Split) -> Iterator[Split]:
    """The split in parts of about as many target steps as are measured at once."""
    examples = max(1, STEPS_AT_ONCE // int(split.targets.lengths.max()))
    for start in range(0, len(split), examples):
        yield split.select(np.arange(start, min(start + examples, len(split))))


def _measure_part(task: Task, predictor: Predictor, split: Split) -> dict[str, np.ndarray]:
    precise = torch.int64 if task.has_classes else torch.float64
    outputs = torch.as_tensor(predictor(split), dtype=torch.float64)
    steps = torch.as_tensor(_steps_of(split.targets), dtype=precise)
    targets = steps.view(len(outputs), -1, *steps.shape[1:])
    real = torch.ones(targets.shape[:2], dtype=torch.bool)
    if isinstance(task, Tagging):  # entities are of whole sequences
        lengths = split.targets.lengths.tolist()
        outputs, targets, real = (
            pad_sequence(list(torch.split(each.squeeze(1), lengths)), batch_first=True)
            for each in (outputs, targets, real)
        )
    batch = Batch(targets, real, targets, real, torch.arange(len(targets)))
    return {name: values.numpy() for name, values in task.measure(outputs, batch).items()}

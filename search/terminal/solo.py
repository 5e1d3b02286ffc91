"""One configuration trained in this process, where a debugger can look at it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from search.results.cells import number
from search.store.environment import describe_environment
from trainers.catalog import family_space, load_family
from trainers.data.batching import DeviceData
from trainers.data.dataset import Dataset
from trainers.data_source import OWN_DATA, account, load_data
from trainers.device import describe_devices, use_threads
from trainers.export.card import Numbers
from trainers.export.folder import check_folder, export
from trainers.export.recipe import Recipe
from trainers.sources import split_name
from trainers.training.evaluation import fitted_dataset
from trainers.training.loop import Diverged, Measurement, Training
from trainers.training.refit import check_refits, joined, refit

Say = Callable[[str], object]


def train_alone(
    file: Path,
    options: Mapping[str, Any],
    *,
    data: Sequence[Path] = (),
    output: Path | None = None,
    trust: bool,
    say: Say,
) -> Training:
    """Train what a config file describes, from its first to its last epoch.

    Args:
        options: What takes the place of the file's `seed`, `epochs` or `threads`.
        data: Files that take the place of those the file names; they are divided anew.
        output: A folder to export the trained model to, with its metrics on the test split.
        trust: Run the user's own class that came with an exported model.
        say: Takes a line for each epoch, and one at the end.

    Raises:
        OSError: A file cannot be had or written.
        ValueError: The file is wrong, its code is not trusted, or the training diverged.
    """
    recipe = replace(Recipe.read(file), **options)
    if recipe.source and not trust:
        raise ValueError(
            f"{file.parent / recipe.source.file} must be trusted before it is run: read it, "
            f"then give --trust"
        )
    if data:
        recipe = _on_other_files(recipe, data)
    if output is not None:
        check_folder(output)
    family = load_family(recipe.family, recipe.source_text)
    name = str(recipe.benchmark["name"])
    if split_name(name)[0] is not None and not trust:
        raise ValueError(f"the file of {name} must be trusted before it is run: give --trust")
    dataset = _load(name, recipe, say)
    recipe = recipe.complete(family_space(family, dataset.task, len(dataset.train)))
    if recipe.threads is not None:
        use_threads(recipe.threads)
    training = Training(
        family,
        recipe.config,
        DeviceData(dataset),
        seed=recipe.seed,
        epochs=recipe.epochs,
        metric=recipe.metric,
        earlier=recipe.earlier,
    )
    seconds = _train(training, recipe, say)
    trained, more = _train_again(training, dataset, recipe, say)
    if output is not None:
        numbers = _numbers(training, trained, seconds + more)
        weights = trained.best_weights()
        export(
            output,
            recipe=recipe,
            dataset=fitted_dataset(family, recipe.config, weights, dataset),
            weights=weights,
            numbers=numbers,
            environment=describe_environment(describe_devices()),
        )
        say(f"test {training.metric.name}: {number(numbers.test[training.metric.name])}")
        say(f"the model is in {output}")
    return training


def _load(name: str, recipe: Recipe, say: Say) -> Dataset:
    dataset = load_data(name, recipe.options)
    if recipe.refit:
        check_refits(dataset.task)
    for line in account(name, dataset):
        say(line)
    return dataset


def _on_other_files(recipe: Recipe, data: Sequence[Path]) -> Recipe:
    """The recipe for other files, which are divided as a study would divide them."""
    name = recipe.benchmark["name"]
    if name != OWN_DATA:
        raise ValueError(
            f"--data takes the place of files of one's own, but this config trains on the "
            f"benchmark {name}; leave --data out"
        )
    kept = {key: value for key, value in recipe.benchmark.items() if key not in {"valid", "test"}}
    return replace(recipe, benchmark={**kept, "data": [str(path.absolute()) for path in data]})


def _train(training: Training, recipe: Recipe, say: Say) -> float:
    """All epochs; the seconds they took."""
    name, seconds = training.metric.name, 0.0
    while training.epoch < recipe.epochs and not training.has_settled(recipe.patience):
        measured = _next_epoch(training)
        seconds += measured.seconds
        say(
            f"epoch {measured.epoch}: training loss {number(measured.train_loss)}, "
            f"valid {name} {number(measured.valid[name])}, {measured.seconds:.2f} s"
        )
    say(f"best valid {name}: {training.best_value!r} in epoch {training.best_epoch}")
    return seconds


def _train_again(
    training: Training, dataset: Dataset, recipe: Recipe, say: Say
) -> tuple[Training, float]:
    """The one on train and validation together, if the recipe has it, and the seconds it took."""
    if not recipe.refit:
        return training, 0.0
    again, seconds = refit(training, DeviceData(joined(dataset)), epochs=recipe.epochs), 0.0
    while again.epoch < training.best_epoch:
        measured = _next_epoch(again)
        seconds += measured.seconds
        say(
            f"epoch {measured.epoch} on train and validation: training loss "
            f"{number(measured.train_loss)}, {measured.seconds:.2f} s"
        )
    return again, seconds


def _next_epoch(training: Training) -> Measurement:
    try:
        return training.run_epoch()
    except Diverged as error:
        raise ValueError(f"the training must not diverge: {error}") from error


def _numbers(training: Training, trained: Training, seconds: float) -> Numbers:
    """Of the first training, and of the one that is exported."""
    return Numbers(
        metric=training.metric,
        valid=training.best_value,
        valid_epoch=training.best_epoch,
        parameters=training.parameters,
        train_seconds=seconds,
        test=trained.evaluate("test").metrics,
        test_over_seeds=None,
    )

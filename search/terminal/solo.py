"""One configuration trained in this process, where a debugger can look at it."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from search.results.cells import number
from trainers.batching import DeviceData
from trainers.catalog import family_space, load_family
from trainers.data_source import load_data
from trainers.device import use_threads
from trainers.loop import Diverged, Measurement, Training
from trainers.recipe import Recipe


def train_alone(
    file: Path, options: Mapping[str, Any], *, trust: bool, say: Callable[[str], object]
) -> Training:
    """Train what a config file describes, from its first to its last epoch.

    Args:
        options: What takes the place of the file's `seed`, `epochs` or `threads`.
        trust: Run the user's own class that came with an exported model.
        say: Takes a line for each epoch, and one at the end.

    Raises:
        OSError: A file cannot be had.
        ValueError: The file is wrong, its code is not trusted, or the training diverged.
    """
    recipe = replace(Recipe.read(file), **options)
    if recipe.source and not trust:
        raise ValueError(
            f"{file.parent / recipe.source.file} must be trusted before it is run: read it, "
            f"then give --trust"
        )
    family = load_family(recipe.family, recipe.source_text)
    dataset = load_data(str(recipe.benchmark["name"]), recipe.options)
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
    )
    name = training.metric.name
    while training.epoch < recipe.epochs:
        measured = _next_epoch(training)
        say(
            f"epoch {measured.epoch}: training loss {number(measured.train_loss)}, "
            f"valid {name} {number(measured.valid[name])}, {measured.seconds:.2f} s"
        )
    say(f"best valid {name}: {training.best_value!r} in epoch {training.best_epoch}")
    return training


def _next_epoch(training: Training) -> Measurement:
    try:
        return training.run_epoch()
    except Diverged as error:
        raise ValueError(f"the training must not diverge: {error}") from error

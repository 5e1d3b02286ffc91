"""The card of an exported model: what it is, how it was trained, its numbers, how to load it."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from trainers.data_source import OWN_DATA
from trainers.export.recipe import Recipe
from trainers.tasks import AnomalyDetection, Metric, Task, Transduction


@dataclass(frozen=True, slots=True)
class OverSeeds:
    """A mean over seeds and, from two seeds on, its 95 % interval."""

    mean: float
    low: float | None
    high: float | None
    seeds: int


@dataclass(frozen=True, slots=True)
class Numbers:
    """What was measured of a model.

    Args:
        valid: The best validation value of the exported weights, reached in `valid_epoch`.
        test: Their metrics on the test split; empty if they never saw it.
        test_over_seeds: The objective on the test split over all seeds of this configuration.
    """

    metric: Metric
    valid: float
    valid_epoch: int
    parameters: int
    train_seconds: float
    test: Mapping[str, float]
    test_over_seeds: OverSeeds | None


@dataclass(frozen=True, slots=True)
class OnnxModels:
    """The model as ONNX files.

    Attributes:
        whole: For whole sequences.
        streaming: For chunk after chunk; None where the model cannot stream.
        difference: The largest between ONNX Runtime and PyTorch that was found.
    """

    whole: bytes
    streaming: bytes | None
    difference: float


def card(
    recipe: Recipe,
    numbers: Numbers,
    environment: Mapping[str, Any],
    task: Task,
    onnx: OnnxModels | None = None,
) -> str:
    """The card as Markdown.

    Args:
        environment: What the study recorded; versions and commit are taken from it.
    """
    benchmark = recipe.benchmark["name"]
    warning = WARNING.format(file=recipe.source.file) if recipe.source else ""
    return CARD.format(
        family=recipe.family,
        benchmark=benchmark,
        options=_list(recipe.options) or "- none\n",
        settings=_list(_leaves(recipe.config)) + _earlier(recipe),
        seed=recipe.seed,
        epochs=_epochs(recipe),
        threads=recipe.threads,
        parameters=f"{numbers.parameters:,}",
        train_seconds=f"{numbers.train_seconds:.0f}",
        version=environment.get("seqtune"),
        torch=environment.get("libraries", {}).get("torch"),
        commit=environment.get("commit") or "not recorded",
        table=_table(numbers, " before the second training" if recipe.refit else ""),
        test=(REFITTED if recipe.refit else TESTED) if numbers.test else UNTESTED,
        weights=WEIGHTS_AGAIN if recipe.refit else WEIGHTS,
        warning=warning,
        use=_use(task),
        trust=", trust=True" if recipe.source else "",
        asked=_asked(recipe, task),
        onnx="" if onnx is None else _onnx(onnx),
    )


def _epochs(recipe: Recipe) -> str:
    if recipe.patience is None:
        return f"{recipe.epochs} epochs"
    return f"at most {recipe.epochs} epochs, until {recipe.patience} in a row improved nothing"


def _earlier(recipe: Recipe) -> str:
    """What was otherwise before, phase by phase: only what differs from the phase that follows."""
    if not recipe.earlier:
        return ""
    phases = [*recipe.earlier, {"until": recipe.epochs, "training": recipe.config["training"]}]
    first, lines = 1, []
    for phase, following in pairwise(phases):
        now, then = _leaves(phase["training"]), _leaves(following["training"])
        other = [f"`training/{name}`: `{now[name]}`" for name in now if now[name] != then[name]]
        if other:
            lines.append(f"- epochs {first} to {phase['until']}: {', '.join(other)}\n")
        first = phase["until"] + 1
    return f"\n{EARLIER}\n\n{''.join(lines)}" if lines else ""


def _asked(recipe: Recipe, task: Task) -> str:
    alarms = ALARMS if isinstance(task, AnomalyDetection) else ""
    kind = OWN_FILE if recipe.benchmark["name"] == OWN_DATA else BENCHMARK_FILE
    return alarms + ASK.format(trusted=" --trust" if recipe.source else "", kind=kind)


def _use(task: Task) -> str:
    if not isinstance(task, Transduction):
        return CALL + (SPELT if task.reads_spelling else "")
    how = "Validation and test decoded greedily."
    if task.beam_width > 1:
        how = f"Validation decoded greedily, the test with a beam of {task.beam_width}."
    return DECODE.format(width=task.beam_width, how=how)


def _onnx(onnx: OnnxModels) -> str:
    streams = NO_STREAM if onnx.streaming is None else STREAM
    return ONNX.format(difference=f"{onnx.difference:.1e}", streams=streams)


def _table(numbers: Numbers, when: str) -> str:
    metric = numbers.metric
    direction = "higher" if metric.maximize else "lower"
    rows = [
        f"| {metric.name} on valid, best of all epochs (epoch {numbers.valid_epoch}){when} "
        f"| {numbers.valid:.6g} |"
    ]
    rows += [
        f"| {name} on test, this model | {value:.6g} |" for name, value in numbers.test.items()
    ]
    if mean := numbers.test_over_seeds:
        between = "" if mean.low is None else f" ({mean.low:.6g} to {mean.high:.6g})"
        rows.append(
            f"| {metric.name} on test, mean of {mean.seeds} seeds (95 % interval) "
            f"| {mean.mean:.6g}{between} |"
        )
    head = f"| {metric.name}: {metric.unit}, {direction} is better | value |\n|---|---|\n"
    return head + "\n".join(rows)


def _leaves(tree: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    leaves: dict[str, Any] = {}
    for name, value in tree.items():
        here = f"{path}{name}"
        leaves |= _leaves(value, f"{here}/") if isinstance(value, Mapping) else {here: value}
    return leaves


def _list(values: Mapping[str, Any]) -> str:
    return "".join(f"- `{name}`: `{value}`\n" for name, value in values.items())


EARLIER = """These are the settings of its last epochs. Population-based training found a
schedule of them; before, these were otherwise:"""
TESTED = """The test split was measured once, with the weights of that epoch; a
family's rank on the leaderboard of its study rests on that."""
REFITTED = """The model is of a second training with that
seed, on train and validation together, for as many epochs as had been best. Its test split was
measured once, after the last of them; a family's rank on the leaderboard of its study rests on
that."""
UNTESTED = "The test split has not been measured."

WEIGHTS = "the weights of the best validation epoch"
WEIGHTS_AGAIN = "the weights after the last epoch of the second training"

CALL = """\
outputs = model(inputs, mask)    # inputs (batch, time, size); mask (batch, time), True where real
```
"""
SPELT = """
Here `inputs` are whole numbers, (batch, time, numbers): of each word the place in `vocabulary`,
and then its spelling, as `trainers.spelling.spelt` gives it.
"""
DECODE = """\
# inputs (batch, time, size) or tokens (batch, time); mask (batch, time), True where real
answers = model.decode(inputs, mask, beam_width={width})    # for each sequence a list of numbers
```

What the numbers stand for is in `preprocessing.json`. {how}
"""
ASK = """```sh
seqtune predict . FILE -o answers.csv{trusted}
```

{kind}"""
ALARMS = """The model forecasts the next value at every step of a stream, alarms are made of its
errors (`trainers.tasks.anomalies.alarm`), and `thresholds` in `preprocessing.json` say from where
on they count: they were fitted on the validation split, to the F1 and to the three profiles of the
Numenta benchmark. `seqtune predict` takes that of the F1.

"""
OWN_FILE = """`FILE` is of the kind that the model was trained on, with the same columns; answers
need not be in it."""
BENCHMARK_FILE = """`FILE` is `.jsonl`, a sequence per line: `{"inputs": [...]}`, its steps in the
units that the benchmark's data have before they are scaled. Models of words also read `.txt`, one
text per line, or CoNLL columns."""

WARNING = """
The model is a user's own class. Its text is `{file}` in this folder and runs with all your rights
when the model is loaded: read it first.
"""

ONNX = """
## In ONNX

`model.onnx` takes `inputs` (batch, time, size), or tokens (batch, time), and `mask` (batch, time),
True where real and False in the padding behind; it gives `outputs`. Batch and time are free. On
real inputs, of sizes that were not traced, ONNX Runtime and PyTorch differed by {difference} at
most, in units of the largest output where that is above 1.

{streams}
"""

STREAM = """`streaming.onnx` takes a chunk `inputs`, all of it real, and the state before it,
`state.*`, which begins with zeros; it gives `outputs` and the state after it, `next.*`."""
NO_STREAM = """It cannot be fed chunk by chunk: what it says of a step, or of the whole, depends on
more than the steps until then."""

CARD = """# {family} on {benchmark}

A sequence model found, trained and exported by seqtune {version}.

## Numbers

{table}

{parameters} parameters, trained in {train_seconds} seconds. Settings and epoch were chosen on the
validation split. {test}

## How it was trained

Seed {seed}, {epochs}, {threads} CPU thread(s), torch {torch}, commit {commit}. Settings:

{settings}
Options of the benchmark:

{options}
`seqtune train config.toml` trains it again; on the same machine, with the same versions, it meets
the validation value again.

## How to ask it
{warning}
{asked}

In Python:

```python
from trainers.export import load

model = load("."{trust})         # a torch.nn.Module in evaluation mode
{use}
`preprocessing.json` says what the task is and what was done to the raw data; inputs have to be
prepared in the same way.
{onnx}
| file | holds |
|---|---|
| `config.toml` | benchmark, settings, seed, epochs and threads: all that training needs |
| `weights.safetensors` | {weights} |
| `metrics.json` | the numbers above |
| `preprocessing.json` | task, scaler, vocabulary, classes |
| `environment.json` | versions, machine, commit |
"""

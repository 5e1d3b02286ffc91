"""What there is to choose from: benchmarks, families, and what may vary in them."""

import json
import re
import textwrap
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Final, Literal

from search.results.tables import Block, Row, to_json, to_terminal
from search.terminal.example import check_plot, example_text, write_example
from spaces import Choice, Float, Int, Node, OneOf, Repeat, SearchSpace
from trainers.benchmarks import BENCHMARKS, Benchmark, cache_folder, find_benchmark, load_benchmark
from trainers.catalog import family_space, load_family
from trainers.models import MODELS
from trainers.tasks import Classification

OutputFormat = Literal["table", "json"]

EXAMPLES = 10_000
"""The size of the training split for which a space is shown."""
SIZES: Final = re.compile(r"[\d,]+ / [\d,]+ / [\d,]*\d(?: [a-z]+)?")
CUT: Final = 48


def benchmarks_text(output_format: OutputFormat) -> str:
    """All benchmarks, a row each; as a table with the long words cut."""
    cache = cache_folder()
    rows = [_benchmark_row(kind, cache) for kind in BENCHMARKS.values()]
    if output_format == "json":
        return to_json(rows)
    cells = [
        [
            row["benchmark"],
            row["task"],
            row["metric"],
            row["size"],
            f"{row['download_bytes'] / 1e6:.1f} MB" if row["download_bytes"] else "none",
            "yes" if row["present"] else "no",
            textwrap.shorten(row["published"], CUT, placeholder=" ..."),
            textwrap.shorten(row["licence"], CUT // 2, placeholder=" ..."),
        ]
        for row in rows
    ]
    headings = ["benchmark", "task", "metric", "size", "download", "here", "published", "licence"]
    words = frozenset({"benchmark", "task", "metric", "published", "licence"})
    spare = frozenset({"published", "licence"})
    notes = [
        "Sizes are of train, valid and test.",
        "In full, with sources: seqtune benchmarks show NAME, or --format json.",
    ]
    return to_terminal([Block("benchmarks", headings, words, cells, notes, spare)])


def _benchmark_row(kind: type[Benchmark], cache: Path) -> Row:
    sizes = SIZES.search(kind.splits)
    return {
        "benchmark": kind.name,
        "problem": kind.summary,
        "task": kind.task,
        "metric": kind.metric,
        "size": sizes[0] if sizes else "",
        "download_bytes": kind.size_bytes(),
        "present": kind.is_present(cache),
        "published": kind.published,
        "licence": kind.licence,
    }


def benchmark_text(name: str, output_format: OutputFormat, plot: Path | None = None) -> str:
    """All about one benchmark, and where its files are here, an example of it.

    Args:
        plot: Write the example to this file, too; its files are fetched if they are not here.

    Raises:
        ValueError: There is no such benchmark, or no such kind of plot.
        OSError: A file cannot be had or written.
    """
    kind = type(find_benchmark(name))
    if plot is not None:
        check_plot(plot)
        write_example(load_benchmark(name), plot)
    facts = {
        "benchmark": name,
        "problem": kind.summary,
        "task": kind.task,
        "metric": kind.metric,
        "splits": kind.splits,
        "published": kind.published,
        "licence": kind.licence,
        "files": {file.url: file.size_bytes for file in kind.files},
        "options": {option.name: option.default for option in fields(kind)},
    }
    if output_format == "json":
        return json.dumps(facts, indent=2) + "\n"
    rows = [{"": key, name: _words(value)} for key, value in facts.items() if value]
    if not kind.is_present(cache_folder()):
        return (
            f"{_text(name, rows, output_format)}For an example: seqtune benchmarks fetch {name}\n"
        )
    return f"{_text(name, rows, output_format)}{example_text(load_benchmark(name))}"


def fetch_text(name: str) -> str:
    """Fetch a benchmark's files, and say where they are.

    Raises:
        OSError: A file cannot be had or is not the one expected.
        ValueError: There is no such benchmark.
    """
    kind, cache = type(find_benchmark(name)), cache_folder()
    kind.fetch(cache)
    if not kind.files:
        return f"{name} has no files to fetch\n"
    return f"{name}: {len(kind.files)} files, {kind.size_bytes():,} bytes, are in {cache}\n"


def families_text(output_format: OutputFormat) -> str:
    """All families, a row each."""
    rows = [{"family": name, "reference": kind.reference} for name, kind in MODELS.items()]
    return _text("families", rows, output_format)


def space_text(name: str, output_format: OutputFormat, *, causal: bool) -> str:
    """What may vary in a family; head and training are those of classification with many examples.

    A setting that is held stays at its default until a study names it.

    Raises:
        OSError: There is no file of that name.
        ValueError: There is no such family.
    """
    task = Classification(classes=2, causal=causal)
    space = family_space(load_family(name), task, EXAMPLES)
    rows = [row for path, node in space.children.items() for row in space_rows(node, path)]
    return _text(name, rows, output_format)


def space_rows(node: Node, path: str) -> list[Row]:
    """Every leaf of a tree, all branches included, with its range and its default."""
    match node:
        case SearchSpace():
            return [
                row
                for name, child in node.children.items()
                if (path, name) != ("model", "name")
                for row in space_rows(child, f"{path}/{name}")
            ]
        case OneOf():
            inner = [
                row
                for branch, space in node.options.items()
                for name, child in space.children.items()
                for row in space_rows(child, f"{path}/{name} ({branch})")
            ]
            return [*space_rows(node.choice, path), *inner]
        case Repeat():
            return [
                *space_rows(node.count, f"{path}/count"),
                *space_rows(node.child, f"{path}/..."),
            ]
        case Float() | Int() | Choice():
            use = "held at the default" if node.held else "searched"
            return [
                {"setting": path, "range": node.describe(), "default": node.default, "use": use}
            ]


def _text(title: str, rows: list[Row], output_format: OutputFormat) -> str:
    if output_format == "json":
        return to_json(rows)
    headings = list(rows[0])
    cells = [[_words(row[heading]) for heading in headings] for row in rows]
    return to_terminal([Block(title, headings, frozenset(headings), cells)])


def _words(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case int():
            return f"{value:,}"
        case Mapping():
            return "\n".join(f"{key}: {_words(inner)}" for key, inner in value.items())
        case _:
            return f"{value:g}" if isinstance(value, float) else str(value)

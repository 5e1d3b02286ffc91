"""The texts of a user's own families and benchmark, kept in the study as it began with them."""

import json
from collections.abc import Mapping
from pathlib import Path

from trainers.sources import source_text

SOURCES = "sources.json"


def store_sources(directory: Path, sources: Mapping[str, str]) -> None:
    """Keep the texts, by name; without any there is no file.

    Raises:
        OSError: The file cannot be written.
    """
    if sources:
        (directory / SOURCES).write_text(json.dumps(sources, indent=2), encoding="utf-8")


def stored_sources(directory: Path) -> dict[str, str]:
    """The texts that `store_sources` kept."""
    file = directory / SOURCES
    sources: dict[str, str] = json.loads(file.read_text("utf-8")) if file.exists() else {}
    return sources


def unchanged_sources(directory: Path) -> dict[str, str]:
    """The stored texts, where the files that they came from are still as they were, or gone.

    Raises:
        ValueError: Such a file has changed; its new trials would not be comparable to the old.
    """
    sources = stored_sources(directory)
    for name, text in sources.items():
        try:
            present = source_text(name)
        except FileNotFoundError:
            continue  # the study has the text
        if present != text:
            raise ValueError(
                f"the file of `{name}` must be as it was when the study began, and has changed; "
                f"name the new one differently, and add it with --add-family or begin a new study"
            )
    return sources

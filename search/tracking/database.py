"""SQLite files for tools that take an address."""

from pathlib import Path

from sqlalchemy import URL


def address(path: Path) -> str:
    """The address of an SQLite file, whatever its path holds."""
    return URL.create("sqlite", database=str(path)).render_as_string()

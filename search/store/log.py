"""Reading a study's log: an append-only file of JSON lines, while it is written or after."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

LOG = "events.jsonl"
FORMAT = 1
TAIL_BYTES = 1 << 16
RAW_DECODE = json.JSONDecoder().raw_decode  # `json.loads` takes twice the time on short lines


def read_events(directory: str | Path) -> Iterator[dict[str, Any]]:
    """The whole events of a study's log, oldest first, each once.

    A torn last line is skipped. An event that repeats the kind, trial, attempt and epoch of an
    earlier one is skipped too.

    Raises:
        FileNotFoundError: There is no log.
        ValueError: A line is corrupt, or the log has another format.
    """
    path = Path(directory) / LOG
    seen = set()
    for number, line in enumerate(whole_lines(Path(directory)), 1):
        event = decode(line, path, number)
        if number == 1:
            check_format(event, path)
        if "trial" in event:
            key = (event["event"], event["trial"], event.get("attempt"), event.get("epoch"))
            if key in seen:
                continue
            seen.add(key)
        yield event


def whole_lines(directory: Path, start: int = 0) -> list[bytes]:
    """The lines from byte `start` on that end in a newline, without it.

    Raises:
        FileNotFoundError: There is no log.
    """
    with open_log(directory) as file:
        file.seek(start)
        return file.read().split(b"\n")[:-1]


def open_log(directory: Path) -> BinaryIO:
    """The log of a study, to be read as bytes.

    Raises:
        FileNotFoundError: There is no log.
    """
    try:
        return (directory / LOG).open("rb")
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(f"{directory} holds no study: it has no {LOG}") from None


def decode(line: bytes, path: Path, number: int) -> dict[str, Any]:
    """The event in a line.

    Raises:
        ValueError: The line is corrupt; the error names the file and the line's number.
    """
    try:
        text = line.decode()
        event, end = RAW_DECODE(text)
    except ValueError:  # not JSON, or not UTF-8
        event = None
    if not isinstance(event, dict) or not isinstance(event.get("event"), str) or end < len(text):
        raise ValueError(f"{path} is corrupt: line {number} is not an event")
    return event


def check_header(directory: Path) -> None:
    """Refuse a folder without a log, and a log of another format.

    Raises:
        FileNotFoundError: There is no log.
        ValueError: The log has another format.
    """
    with open_log(directory) as file:
        line = file.readline()
    if line.endswith(b"\n"):
        check_format(decode(line[:-1], directory / LOG, 1), directory / LOG)


def check_format(header: dict[str, Any], path: Path) -> None:
    """Refuse a log whose first event does not state a format that this version reads.

    Raises:
        ValueError: It does not.
    """
    stated = header.get("format")
    if header["event"] != "study" or not isinstance(stated, int):
        raise ValueError(f"{path} must begin with its format, got {header['event']!r}")
    if stated > FORMAT:
        raise ValueError(
            f"{path} has format {stated}, written by seqtune {header.get('version')}; "
            f"this version reads up to format {FORMAT}: install a newer seqtune"
        )


def whole_bytes(path: Path) -> int:
    """The length of the log at `path` up to the end of its last whole line."""
    with path.open("rb") as file:
        end = file.seek(0, 2)
        while end > 0:
            start = max(0, end - TAIL_BYTES)
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            if newline >= 0:
                return start + newline + 1
            end = start
    return 0

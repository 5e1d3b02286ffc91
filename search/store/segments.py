"""A study's log in an object store, where nothing can be appended: objects, each a part of it.

An object is named after the bytes that it holds, `events/START-END.jsonl`, and never changed. The
last part is put there again, longer, under its new name, before the old one goes; once it is long
enough, the next one begins. So the log of a long study is a few objects, and each sending is small.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from cluster.bucket import Bucket
from search.store.log import LOG

EVENTS = "events"
NAME = re.compile(rf"{EVENTS}/(\d+)-(\d+)\.jsonl")
LONG_BYTES = 1 << 18
LOOKS = 5  # a part that is read may be replaced by a longer one meanwhile


@dataclass(frozen=True, slots=True)
class Segment:
    """The bytes of a log from `start` up to `end`."""

    start: int
    end: int

    @property
    def name(self) -> str:
        """That of its object."""
        return f"{EVENTS}/{self.start:015d}-{self.end:015d}.jsonl"


def chain(names: list[str]) -> list[Segment]:
    """The segments that make the log, in order; the longest of those that begin at one place.

    Raises:
        ValueError: One is missing.
    """
    parts = [Segment(int(m[1]), int(m[2])) for m in map(NAME.fullmatch, names) if m is not None]
    longest: dict[int, Segment] = {}
    for part in sorted(parts, key=lambda part: part.end):
        longest[part.start] = part
    linked: list[Segment] = []
    at = 0
    while at in longest:
        linked.append(longest.pop(at))
        at = linked[-1].end
    if longest:
        raise ValueError(f"the log is corrupt: its part from byte {at} on is missing")
    return linked


def read_log(bucket: Bucket, known: int = 0) -> tuple[int, bytes]:
    """The log from some byte on, at most `known`, and that byte; all that a reader lacks.

    Args:
        known: Bytes that the reader has; the segment they end in is given from its beginning.

    Raises:
        FileNotFoundError: There is no log.
        ValueError: A part of it is missing.
        OSError: The store does not answer.
    """
    for _ in range(LOOKS):
        parts = chain(list(bucket.sizes(EVENTS)))
        if not parts:
            raise FileNotFoundError(f"{bucket.url} holds no study: it has no {EVENTS}")
        wanted = [part for part in parts if part.end > known] or parts[-1:]
        try:
            return wanted[0].start, b"".join(bucket.read(part.name) for part in wanted)
        except FileNotFoundError:
            continue
    raise OSError(f"the log in {bucket.url} changes faster than it can be read")


class LogSender:
    """Sends what is added to the log in a folder.

    Raises:
        ValueError: A part of the log in the bucket is missing.
        OSError: The store does not answer.
    """

    def __init__(self, directory: Path, bucket: Bucket) -> None:
        self._log = directory / LOG
        self._bucket = bucket
        there = chain(list(bucket.sizes(EVENTS)))
        self._last = there[-1] if there else Segment(0, 0)

    def send(self) -> None:
        """Put the whole lines there that are not there yet.

        Raises:
            OSError: The store does not answer.
        """
        start = self._last.start
        if self._last.end - start >= LONG_BYTES:
            start = self._last.end
        with self._log.open("rb") as file:
            file.seek(start)
            content = file.read()
        content = content[: content.rfind(b"\n") + 1]
        longer = Segment(start, start + len(content))
        if longer.end <= self._last.end:
            return
        self._bucket.write(longer.name, content)
        if longer.start == self._last.start and self._last.end:
            self._bucket.delete([self._last.name])
        self._last = longer

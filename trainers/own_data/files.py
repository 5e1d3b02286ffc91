"""A user's files: what kind each one is, and its bytes, checked to be UTF-8 on the way."""

import codecs
import gzip
import io
import re
import zlib
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import BinaryIO, Final

KINDS: Final = {
    ".csv": "table",
    ".tsv": "table",
    ".jsonl": "table",
    ".ndjson": "table",
    ".parquet": "table",
    ".pq": "table",
    ".ts": "ts",
    ".conllu": "tags",
    ".conll": "tags",
    ".iob": "tags",
    ".bio": "tags",
    ".txt": "lines",
}
NEVER_ZIPPED: Final = {".parquet", ".pq", ".ts"}
LANGUAGE: Final = re.compile(r"\.[a-z]{2}")
GZIP: Final = b"\x1f\x8b"
UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")


def suffix_of(path: Path) -> str:
    """What the end of the name says of the format, without `.gz`, in lower case."""
    name = path.name.lower()
    return Path(name.removesuffix(".gz")).suffix


def kind_of(path: Path, *, of_languages: bool = False) -> str:
    """`table`, `ts`, `tags` or `lines`; the file is there and holds something.

    Args:
        of_languages: A name may end in a language, such as `train.de`; the file then has lines.

    Raises:
        OSError: There is no such file, it is a folder, or it is empty.
        ValueError: Its name ends in no known way.
    """
    check_there(path)
    suffix = suffix_of(path)
    if of_languages and suffix not in KINDS and LANGUAGE.fullmatch(suffix):
        suffix = ".txt"
    is_zipped = path.name.lower().endswith(".gz")
    if suffix not in KINDS or (is_zipped and suffix in NEVER_ZIPPED):
        known = ", ".join(KINDS)
        raise ValueError(
            f"{path}: the name of a data file must end in one of {known} "
            f"(text also in .gz after it), got {''.join(path.suffixes[-2:]) or path.name!r}"
        )
    with path.open("rb") as file:
        begins = file.read(2)
    if is_zipped and begins != GZIP:
        raise OSError(f"{path} must be a gzip file, as its name says; it begins otherwise")
    return KINDS[suffix]


def check_there(path: Path) -> None:
    """Refuse a path at which there is no file, or an empty one.

    Raises:
        OSError: There is none.
    """
    if path.is_dir():
        raise IsADirectoryError(f"{path} must be a file, got a folder; name the files in it")
    if not path.exists():
        beside = [other.name for other in path.parent.glob("*")]
        near = get_close_matches(path.name, beside, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise FileNotFoundError(f"there is no file {path}{hint}")
    if path.stat().st_size == 0:
        raise OSError(f"{path} must hold data, got an empty file of 0 bytes")


def open_text(path: Path) -> BinaryIO:
    """The bytes of a text file, unzipped where its name ends in .gz; a mark of UTF-8 is left out.

    What is not UTF-8 is refused while reading, by its line.
    """
    return io.BufferedReader(_CheckedText(path), buffer_size=1 << 20)


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Number, from 1, and text of every line; line ends of any system.

    Raises:
        ValueError: A line is not UTF-8.
        OSError: The file cannot be read.
    """
    with open_text(path) as file:
        for number, line in enumerate(file, 1):
            yield number, line.decode("utf-8").rstrip("\r\n")


def check_text(path: Path) -> None:
    """Refuse a file that is not UTF-8.

    Raises:
        ValueError: A line is not.
        OSError: The file cannot be read.
    """
    for _ in read_lines(path):
        pass


class _CheckedText(io.RawIOBase):
    """A file that passes its bytes on if they are UTF-8."""

    def __init__(self, path: Path) -> None:
        self._path = path
        is_zipped = path.name.lower().endswith(".gz")
        self._file = gzip.open(path) if is_zipped else path.open("rb")  # noqa: SIM115 - see `close`
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._lines = 1
        self._is_first = True

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self._file.close()
        super().close()

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type] # the buffer that io hands over
        part = self._read(len(view))
        if self._is_first:
            self._is_first = False
            if part.startswith(UTF_16):
                raise ValueError(f"{self._path} must be UTF-8 text, got UTF-16; save it as UTF-8")
            if part.startswith(codecs.BOM_UTF8):
                part = part[3:] or self._read(len(view))
        self._check(part)
        view[: len(part)] = part
        return len(part)

    def _read(self, size: int) -> bytes:
        try:
            return self._file.read(size)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise OSError(f"{self._path} must be a whole gzip file: {error}") from None

    def _check(self, part: bytes) -> None:
        try:
            self._decoder.decode(part, final=not part)
        except UnicodeDecodeError as error:
            held = error.object  # what was left of the part before stands in front
            line = self._lines + held[: error.start].count(b"\n")
            begin = held.rfind(b"\n", 0, error.start) + 1
            words = held[begin : error.start + 12].partition(b"\n")[0][-40:].decode("latin-1")
            raise ValueError(
                f"{self._path}, line {line} must be UTF-8 text, got the byte "
                f"0x{held[error.start]:02x} in {words!r}; save the file as UTF-8"
            ) from None
        self._lines += part.count(b"\n")

"""What a rendered file is to run, and how every value of it is quoted."""

import re
import shlex
from dataclasses import dataclass

BEGUN = r"""
# Whether the study is there already, in a folder or in an object store.
begun() {
    case "$out" in
        *://*) "$python" -P -m search status "$directory" > /dev/null 2>&1 ;;
        *) [ -e "$directory/study.toml" ] ;;
    esac
}
""".lstrip()

PLAIN = re.compile(r"[A-Za-z0-9_.,:;@%+/=\[\]-]+")


@dataclass(frozen=True, slots=True)
class Work:
    """A study, as names on the machines where it runs.

    Args:
        name: The study's name, and that of its folder.
        study: The study file; not absolute, it is taken from `folder`, as is `out`.
        out: Where the study's folder is made: a folder that all machines see, or a URL.
        folder: Where everything is started; a study's own files are found from there.
        python: The Python that has seqtune.
        setup: A shell file that makes this Python work, such as one that loads modules.
        seconds_to_join: How long the machines may take until all have joined.
    """

    name: str
    study: str
    out: str
    folder: str
    python: str
    setup: str | None = None
    seconds_to_join: int = 600

    def assignments(self, **more: object) -> str:
        """The values as shell variables; whatever is in them stays a value."""
        values = {
            "folder": self.folder,
            "study": no_option(self.study),
            "out": no_option(self.out),
            "directory": f"{no_option(self.out)}/{self.name}",
            "python": self.python,
            "setup": self.setup or "",
            **more,
        }
        return "".join(f"{name}={shlex.quote(str(value))}\n" for name, value in values.items())


def no_option(path: str) -> str:
    """The same path, which no program takes for an option."""
    return f"./{path}" if path.startswith("-") else path


def comment(text: str) -> str:
    """Text as comments of a shell or YAML file, whatever line ends are in it."""
    return "".join(f"# {line}".rstrip() + "\n" for line in text.strip().splitlines())


def check_plain(name: str, value: str) -> str:
    """A value for where a file format knows no quotes.

    Raises:
        ValueError: It has characters that might mean something there.
    """
    if not PLAIN.fullmatch(value):
        raise ValueError(
            f"`{name}` must be letters, digits and any of _ . , : ; @ % + / = [ ] -, got {value!r}"
        )
    return value

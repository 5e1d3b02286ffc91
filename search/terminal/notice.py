"""A command of the user's that is told how a run ended."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from search.terminal.failures import exit_code


@contextmanager
def noticed(command: str | None, study: str) -> Iterator[None]:
    """Run `command` in a shell after the block, however that ends.

    It finds the study's folder or URL in `SEQTUNE_STUDY` and the exit code in
    `SEQTUNE_EXIT_CODE`, not in its own text, so that no name can run anything.
    """
    code = 0
    try:
        yield
    except BaseException as error:
        code = exit_code(error)
        raise
    finally:
        if command is not None:
            told = {"SEQTUNE_STUDY": study, "SEQTUNE_EXIT_CODE": str(code)}
            # S602: the command line of the very user who gave it
            done = subprocess.run(command, shell=True, env={**os.environ, **told}, check=False)  # noqa: S602
            if done.returncode:
                said = f"the command of --on-finish ended with exit code {done.returncode}"
                sys.stderr.write(f"seqtune: {said}\n")

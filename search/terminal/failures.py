"""What an error means to whoever called the program: a message and an exit code."""

import signal

import typer


def message(error: BaseException) -> str:
    """What went wrong, without Python's or the system's numbers."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)


def exit_code(error: BaseException) -> int:
    """2 for what a user can mend, 1 for what gave up, 128 + signal for an interruption."""
    if isinstance(error, typer.Exit):
        return int(error.exit_code)
    if isinstance(error, KeyboardInterrupt):
        return 128 + int(getattr(error, "signum", signal.SIGINT))
    return 2 if isinstance(error, ValueError | OSError) else 1

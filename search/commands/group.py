"""What becomes of the errors of a command: a message on stderr and an exit code."""

import signal
from typing import Any

import typer
from typer.core import TyperGroup


class Commands(TyperGroup):
    """All commands; what goes wrong in one becomes a message on stderr and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command.

        Raises:
            typer.Exit: With 2 for what a user can mend, 1 for what gave up, 128 + signal for an
                interruption.
        """
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort):  # both are RuntimeErrors
            raise
        except KeyboardInterrupt as interrupt:
            signum = getattr(interrupt, "signum", signal.SIGINT)
            typer.echo(f"seqtune: {str(interrupt) or 'interrupted'}", err=True)
            raise typer.Exit(128 + signum) from None
        except BrokenPipeError:  # the reader of a pipe has seen enough
            raise
        except (ValueError, OSError, RuntimeError) as error:
            if ctx.params["debug"]:
                raise
            typer.echo(f"seqtune: {message(error)}", err=True)
            raise typer.Exit(1 if isinstance(error, RuntimeError) else 2) from None


def message(error: Exception) -> str:
    """What went wrong, without Python's or the system's numbers."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)

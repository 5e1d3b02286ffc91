"""All commands as one program, whose errors are a message on stderr and an exit code."""

from typing import Any

import typer
from typer.core import TyperGroup

from search.terminal.failures import exit_code, message


class Commands(TyperGroup):
    """All commands; what goes wrong in one becomes a message on stderr and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command.

        Raises:
            typer.Exit: With the error's exit code.
        """
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort):  # both are RuntimeErrors
            raise
        except KeyboardInterrupt as interrupt:
            typer.echo(f"seqtune: {str(interrupt) or 'interrupted'}", err=True)
            raise typer.Exit(exit_code(interrupt)) from None
        except BrokenPipeError:  # the reader of a pipe has seen enough
            raise
        except (ValueError, OSError, RuntimeError) as error:
            if ctx.params["debug"]:
                raise
            typer.echo(f"seqtune: {message(error)}", err=True)
            raise typer.Exit(exit_code(error)) from None

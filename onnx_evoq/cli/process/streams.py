"""The standard streams of a command, which may be closed or full."""

import io
import sys
from typing import Any, TextIO

import click

ARGUMENTS = "onnx_evoq.arguments"  # the key under which the context holds a command's arguments


class Messages:
    """Standard error, which swallows what it cannot write: no message is worth a result.

    Args:
        stream: the stream; None where it is closed.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream or io.StringIO()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write what can be written."""
        try:
            return self._stream.write(text)
        except OSError:
            return len(text)

    def flush(self) -> None:
        """Flush what can be flushed."""
        try:
            self._stream.flush()
        except OSError:  # what was not written is lost
            self._stream = io.StringIO()


class Commands(click.Group):
    """A group of commands that runs with any standard streams."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command, and keep its arguments as they were given, for reports."""
        name, command, rest = super().resolve_command(ctx, args)
        ctx.meta[ARGUMENTS] = [name, *rest]
        return name, command, rest

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run a command; text that cannot be written is told in one line, with exit code 1."""
        before, sys.stderr = sys.stderr, Messages(sys.stderr)
        try:
            return super().main(*args, **kwargs)
        except OSError as cause:  # of --help and --version
            click.echo(f"Error: standard output: cannot be written ({cause.strerror}).", err=True)
            sys.exit(1)
        finally:
            sys.stderr = before

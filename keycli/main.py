"""The `keycli` command: one module per command, loaded when it is run."""

import sys

import typer

from keycli.verify import verify

USAGE = 2

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="API keys of a zerogate: check them from the command line.",
)
app.command()(verify)


@app.callback()
def root() -> None:
    """Keeps `verify` a command of its own while it is the only one."""


def run() -> None:
    """The console script."""
    # Typer prints an argument that it does not expect; a key must not show up in a terminal's history of output.
    if any(argument.startswith("sk-") for argument in sys.argv[1:]):
        typer.echo("keycli: a key is never an argument; give it on standard input", err=True)
        raise SystemExit(USAGE)
    app()

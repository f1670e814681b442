"""The `keycli` command: one module per command, loaded when it is run."""

import typer

from keycli.verify import verify

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
    app()

"""The `zerogate` command."""

import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, NoReturn

import typer
import yaml

from bootstrap.core import build_core
from bootstrap.default_catalog import providers_at_hand
from bootstrap.doctor import Level, examine
from bootstrap.logs import configure_logs
from bootstrap.settings import Settings, SettingsError, environment, read_settings
from gateway.catalog_file import CatalogError
from gateway.identity import Policy, Principal

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="One address and one key per person for every model: an OpenAI-compatible API and an MCP server.",
)
models_app = typer.Typer(invoke_without_command=True, help="List the models that this machine would serve.")
app.add_typer(models_app, name="models")

ModelsFile = Annotated[
    Path | None, typer.Option("--models", help="models.yaml; left out, what the environment's credentials reach.")
]
MARKS = {Level.GOOD: "ok  ", Level.NOTE: "note", Level.BAD: "FAIL"}
EVERYTHING = Principal(key_id="local", owner="local", policies=(Policy(),))


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on. 0.0.0.0 opens it to the network.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 picks a free one.")] = 8080,
    models: ModelsFile = None,
    ready_file: Annotated[
        Path | None,
        typer.Option(
            help="When the server answers, write its addresses, a new key and a new admin key here, as JSON that only "
            "you can read; removed when it stops. For scripts."
        ),
    ] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Where the records of local keys are kept.")] = None,
    new_key: Annotated[bool, typer.Option("--new-key", help="Make and show a new key.")] = False,  # noqa: FBT002
) -> None:
    """Serve both surfaces on this machine, with an embedded Cognito and a first key."""
    from bootstrap.serve import AddressInUseError, ServeOptions  # noqa: PLC0415  needs zerogate[local]
    from bootstrap.serve import serve as run_server  # noqa: PLC0415

    settings = _settings(models_file=models, data_dir=data_dir)
    options = ServeOptions(host=host, port=port, ready_file=ready_file, new_key=new_key)
    try:
        run_server(settings, options)
    except AddressInUseError as error:
        _fail(f"cannot listen on {host}:{port}: {error}")
    except CatalogError as error:
        _fail(_listed(error))
    except OSError as error:
        _fail(f"{error.filename or 'a file'}: {error.strerror or error}")
    except KeyboardInterrupt:
        # The way to stop it, and no failure.
        typer.echo("\nzerogate stopped", err=True)


@app.command()
def mcp(models: ModelsFile = None) -> None:
    """Serve the MCP tools over stdin and stdout, with this machine's provider credentials and no key."""
    settings = _settings(models_file=models)
    from bootstrap.stdio import build_stdio_server  # noqa: PLC0415  loads the MCP SDK, after the log is set up

    try:
        server = build_stdio_server(settings)
    except CatalogError as error:
        _fail(_listed(error))
    if sys.stdin.isatty():
        typer.echo("This speaks MCP on stdin and stdout and is meant to be started by a client, for example:", err=True)
        typer.echo("  claude mcp add zerogate -- zerogate mcp\nCtrl-C ends it.", err=True)
    try:
        server.run("stdio")
    except KeyboardInterrupt:
        # A thread still waits for a line on stdin; nothing else is left to be done.
        os._exit(130)


@app.command()
def doctor(models: ModelsFile = None) -> None:
    """Tell what is configured, what is missing, and how to mend it. Exits with 1 when something is wrong."""
    settings = _settings(models_file=models)
    wrong = False
    for finding in examine(settings, environment()):
        wrong = wrong or finding.level is Level.BAD
        typer.echo(f"{MARKS[finding.level]}  {finding.text}")
        if finding.mend:
            typer.echo(f"      -> {finding.mend}")
    raise typer.Exit(int(wrong))


@app.command(name="version")
def show_version() -> None:
    """Print the version."""
    typer.echo(version("zerogate"))


def _print_version(wanted: bool | None) -> None:  # noqa: FBT001  typer's callback
    if wanted:
        show_version()
        raise typer.Exit


@app.callback()
def root(
    _: Annotated[
        bool | None, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = None,
) -> None:
    """Options of the command itself."""


@models_app.callback()
def list_models(context: typer.Context, models: ModelsFile = None) -> None:
    """List the models that this machine would serve, with what is known about each."""
    if context.invoked_subcommand is not None:
        return
    settings = _settings(models_file=models)
    try:
        found = build_core(settings).directory.allowed(EVERYTHING)
    except CatalogError as error:
        _fail(_listed(error))
    width = max((len(model.id) for model in found), default=0)
    for model in found:
        facts = model.facts
        window = f"{facts.max_input_tokens:,} tokens" if facts.max_input_tokens else ""
        dollars_in, dollars_out = facts.input_cost_per_token, facts.output_cost_per_token
        known = dollars_in is not None and dollars_out is not None
        price = f"${(dollars_in or 0) * 1e6:g} in, ${(dollars_out or 0) * 1e6:g} out per 1M" if known else ""
        typer.echo(f"{model.id:<{width}}  {window:>18}  {price}".rstrip())


@models_app.command()
def discover() -> None:
    """Propose a models.yaml from what the credentials in the environment can reach. Calls no model."""
    from providers.discovery import DiscoveryError  # noqa: PLC0415
    from providers.discovery import discover as ask  # noqa: PLC0415

    environ = environment()
    at_hand = providers_at_hand(environ)
    if not at_hand:
        _fail("no provider credentials in the environment; `zerogate doctor` tells which variables are read")
    entries = []
    for provider in at_hand:
        try:
            found = ask(provider.prefix, environ)
        except DiscoveryError as error:
            typer.echo(f"{provider.prefix} {error}", err=True)
            continue
        typer.echo(f"{provider.prefix}: {len(found)} models", err=True)
        entries += [{"model_name": f.name, "litellm_params": {"model": f.model, **f.params}} for f in found]
    if not entries:
        raise typer.Exit(1)
    typer.echo(yaml.safe_dump({"model_list": entries}, sort_keys=False, allow_unicode=True), nl=False)


def _settings(**overrides: object) -> Settings:
    try:
        settings = read_settings(**overrides)
    except SettingsError as error:
        _fail(str(error))
    configure_logs(settings.log_level)
    return settings


def _listed(error: CatalogError) -> str:
    return f"{error.source} cannot be used:\n" + "\n".join(f"  - {problem}" for problem in error.problems)


def _fail(message: str) -> NoReturn:
    typer.echo(f"zerogate: {message}", err=True)
    raise typer.Exit(1)


def run() -> None:
    """The console script."""
    # Where output is a pipe, Python would hold lines back.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(line_buffering=True)
    app()

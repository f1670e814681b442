"""`zerogate serve`: the whole application on this machine, with an embedded Cognito and a first key."""

import errno
import logging
import socket
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import anyio
import uvicorn
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as AsgiScope
from typing_extensions import override

from auth.cognito import CognitoReader, CognitoWriter
from auth.records import PolicyDocument
from bootstrap.app import build_app
from bootstrap.cognito_client import build_client
from bootstrap.core import load_catalog
from bootstrap.local_cognito import local_cognito, write_private
from bootstrap.settings import Settings
from bootstrap.welcome import Addresses, page
from gateway.catalog import Catalog
from gateway.identity import Scope

logger = logging.getLogger(__name__)

LOCAL_OWNER = "you@zerogate.local"
LOCAL_TEAM = "local"
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
SHUTDOWN_SECONDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """What the command line says.

    Attributes:
        ready_file: written when the server answers; asking for it also makes new keys.
    """

    host: str
    port: int
    ready_file: Path | None
    new_key: bool


class AddressInUseError(Exception):
    """The address cannot be listened on; the text says why."""


def serve(settings: Settings, options: ServeOptions) -> None:
    """Serve until a signal comes. Usage lines and the log go to stderr, the page to stdout.

    Raises:
        CatalogError: the models file cannot be used.
        AddressInUseError: the port is taken.
        OSError: the data folder or the ready file cannot be written.
    """
    catalog = load_catalog(settings)
    with ExitStack() as stack:
        make_writer = None
        if settings.cognito_user_pool_id:
            records, on_ready = _deployed_pool(settings, options, catalog)
        else:
            cognito = stack.enter_context(local_cognito(data_folder(settings) / "cognito"))
            records, make_writer = cognito.reader(), cognito.writer
            keys = _LocalKeys(cognito.writer(), cognito.restored, options, catalog)
            on_ready = keys.announce
        if options.ready_file is not None:
            # A file of an earlier run would tell a script of a server that is gone; so would ours, when we are.
            options.ready_file.unlink(missing_ok=True)
            stack.callback(options.ready_file.unlink, missing_ok=True)
        app = build_app(settings, records=records, catalog=catalog, usage_stream=sys.stderr, make_writer=make_writer)
        _run(app, options, on_ready)


def data_folder(settings: Settings) -> Path:
    """Where local keys are remembered."""
    from platformdirs import user_data_path  # noqa: PLC0415

    return settings.data_dir or user_data_path("zerogate", appauthor=False)


class _LocalKeys:
    """Makes the first keys and tells about them, once the server answers."""

    def __init__(self, writer: CognitoWriter, known: list[str], options: ServeOptions, catalog: Catalog) -> None:
        self._writer = writer
        self._known = known
        self._options = options
        self._catalog = catalog

    def announce(self, root: str) -> None:
        addresses = Addresses(root=root)
        wanted = self._options.new_key or self._options.ready_file is not None or not self._known
        api_key = self._create("local", Scope.INFERENCE) if wanted else None
        if self._options.ready_file is not None:
            admin_key = self._create("local admin", Scope.ADMIN)
            _write_ready(self._options.ready_file, addresses, api_key=api_key, admin_key=admin_key)
        _print_page(addresses, self._options, self._catalog, api_key=api_key, known_keys=self._known)

    def _create(self, label: str, scope: Scope) -> str:
        key = self._writer.create_key(
            owner=LOCAL_OWNER,
            team=LOCAL_TEAM,
            label=label,
            policy=PolicyDocument(scopes=frozenset({scope})),
            created_by="zerogate serve",
        )
        return key.reveal()


def _deployed_pool(
    settings: Settings, options: ServeOptions, catalog: Catalog
) -> tuple[CognitoReader, Callable[[str], None]]:
    """The keys of a real user pool: this machine makes none."""
    pool_id = str(settings.cognito_user_pool_id)
    reader = CognitoReader(
        lambda: build_client(region=settings.pool_region, endpoint_url=settings.cognito_endpoint_url), pool_id=pool_id
    )

    def announce(root: str) -> None:
        if options.ready_file is not None:
            _write_ready(options.ready_file, Addresses(root=root), api_key=None, admin_key=None)
        _print_page(Addresses(root=root), options, catalog, api_key=None, known_keys=[f"those in {pool_id}"])

    return reader, announce


def _write_ready(file: Path, addresses: Addresses, *, api_key: str | None, admin_key: str | None) -> None:
    content = {
        "base_url": addresses.openai,
        "mcp_url": addresses.mcp,
        "admin_url": addresses.admin,
        "api_key": api_key,
        "admin_key": admin_key,
    }
    write_private(file.absolute(), content)


def _print_page(
    addresses: Addresses, options: ServeOptions, catalog: Catalog, *, api_key: str | None, known_keys: list[str]
) -> None:
    models = [entry.name for entry in catalog.entries]
    warning = None
    if options.host not in LOOPBACK:
        warning = f"it listens on {options.host}, for your whole network, over plain HTTP"
    sys.stdout.write(page(addresses, api_key=api_key, models=models, known_keys=known_keys, warning=warning))
    sys.stdout.flush()


def _run(app: ASGIApp, options: ServeOptions, on_ready: Callable[[str], None]) -> None:
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    try:
        listener = socket.create_server((options.host, options.port), family=family)
    except OSError as error:
        hint = " 'make serve ARGS=--port=0' picks a free port." if error.errno == errno.EADDRINUSE else ""
        raise AddressInUseError(f"{error.strerror or error}.{hint}") from error
    config = uvicorn.Config(
        _until_the_server_stops(app),
        log_config=None,
        access_log=False,
        lifespan="on",
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        # Headers of a caller must not choose the address that is logged.
        proxy_headers=False,
        server_header=False,
    )
    with listener:
        _Server(config, on_ready).run(sockets=[listener])


def _until_the_server_stops(app: ASGIApp) -> ASGIApp:
    """The app; a request that a shutdown cancels ends with a line in the log, not with uvicorn's trace."""

    async def run(scope: AsgiScope, receive: Receive, send: Send) -> None:
        try:
            await app(scope, receive, send)
        except anyio.get_cancelled_exc_class():
            if scope["type"] != "http":
                raise
            logger.warning("the server stops: %s was cut short", scope["path"])

    return run


class _Server(uvicorn.Server):
    """uvicorn, telling when it answers."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[str], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then announce."""
        await super().startup(sockets)
        host, port = (sockets or [])[0].getsockname()[:2]
        shown = "127.0.0.1" if host in {"0.0.0.0", "::"} else f"[{host}]" if ":" in host else host  # noqa: S104
        self._on_ready(f"http://{shown}:{port}")

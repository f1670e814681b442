"""`keycli verify`: is this key whole, and what may it do?"""

import json
import sys
from datetime import UTC, datetime
from enum import IntEnum
from typing import TYPE_CHECKING, Annotated, Any, NoReturn
from urllib.parse import urlsplit

import typer

from keycli.key_check import looks_whole

if TYPE_CHECKING:
    import httpx

LOOPBACK = {"127.0.0.1", "::1", "localhost"}


class Exit(IntEnum):
    """Exit codes, the same for every command."""

    ERROR = 1
    USAGE = 2
    AUTH = 4
    UNAVAILABLE = 6


def verify(
    url: Annotated[
        str, typer.Option(envvar="ZEROGATE_URL", help="Address of the server, e.g. https://llm.example.com")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print what the server says, as JSON.")] = False,  # noqa: FBT002
) -> None:
    """Check a key: its form first, offline, and then with the server.

    The key is read from standard input, or asked for without showing it. It is never an argument, which other users of
    the machine could read.

        printenv OPENAI_API_KEY | keycli verify --url http://127.0.0.1:8080

    Exit codes: 0 it works, 2 usage, 4 not a valid key, 6 the server cannot be asked.
    """
    key = _read_key()
    if not looks_whole(key):
        _fail(Exit.AUTH, _why_not(key))
    answer = _ask(_root(url), key)
    if as_json:
        typer.echo(json.dumps(answer))
        return
    expires = answer["expires_at"]
    until = datetime.fromtimestamp(expires, UTC).strftime("%Y-%m-%d %H:%M UTC") if expires else "never"
    typer.echo(f"{answer['id']} works: owner {answer['owner']}, team {answer['team'] or 'none'}")
    typer.echo(f"  scopes   {', '.join(answer['scopes']) or 'none'}")
    typer.echo(f"  models   {_models(answer['models'])}")
    typer.echo(f"  expires  {until}")


def _read_key() -> str:
    key = str(typer.prompt("API key", hide_input=True, err=True)) if sys.stdin.isatty() else sys.stdin.readline()
    return key.strip()


def _why_not(key: str) -> str:
    """What is wrong with the form of a key, without showing any of it."""
    if not key:
        return "no key came in on standard input: is the variable set, and exported?"
    if key[0] in "\"'" or key.lower().startswith("bearer "):
        return "give the key alone, without quotes and without 'Bearer'"
    if not key.startswith("sk-zg_"):
        return "this is not a zerogate key: those begin with sk-zg_"
    return "this is not a whole zerogate key: a character is missing or changed"


def _root(url: str) -> str:
    """The address without a path. A key is not sent in the clear, except on this machine."""
    parts = urlsplit(url if "://" in url else f"//{url}")
    if not parts.scheme:
        parts = parts._replace(scheme="http" if parts.hostname in LOOPBACK else "https")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        _fail(Exit.USAGE, "the URL has to look like https://llm.example.com")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        _fail(Exit.USAGE, "a key is sent over https only, except to this machine")
    path = parts.path.rstrip("/").removesuffix("/v1")
    return f"{parts.scheme}://{parts.netloc}{path}"


def _ask(root: str, key: str) -> dict[str, Any]:
    import httpx  # noqa: PLC0415  `--help` must not wait for it

    try:
        response = httpx.get(f"{root}/v1/me", headers={"authorization": f"Bearer {key}"}, timeout=30)
    except httpx.HTTPError as error:
        _fail(Exit.UNAVAILABLE, f"{root} cannot be reached ({type(error).__name__})")
    body = _json_object(response)
    if response.status_code == httpx.codes.OK and "scopes" in body:
        return body
    failure = body.get("error")
    said = failure.get("message") if isinstance(failure, dict) else None
    code = Exit.AUTH if response.status_code in {401, 403} else Exit.UNAVAILABLE
    return _fail(code, said or f"{root} does not answer like a zerogate (status {response.status_code})")


def _json_object(response: "httpx.Response") -> dict[str, Any]:
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _models(patterns: list[list[str]] | None) -> str:
    """All sets have to match: the key's, the person's and the team's."""
    return " and ".join(", ".join(one) for one in patterns) if patterns else "all"


def _fail(code: Exit, message: str) -> NoReturn:
    typer.echo(f"keycli: {message}", err=True)
    raise typer.Exit(code)

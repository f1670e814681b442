"""Events into ASGI scopes, through Mangum's handlers: API Gateway REST (v1), HTTP API and Function URL (v2), ALB."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast

from mangum import Mangum
from mangum.handlers import ALB, HTTPGateway

from lambda_runtime.function import ResponseMode
from lambda_runtime.invocation import Invocation, LambdaContext

SUPPORTED = "HTTP events of API Gateway (REST v1, HTTP v2), Lambda Function URLs and Application Load Balancers"


class UnsupportedEvent(Exception):
    """Not an HTTP event."""


class Cookies(StrEnum):
    """The field of the prelude that takes Set-Cookie: each caller reads one of them."""

    MULTI_VALUE_HEADERS = "multiValueHeaders"
    COOKIES = "cookies"


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """An event, as ASGI has it.

    Attributes:
        handler: Mangum's, which also writes the buffered answer for this kind of event.
        body: None where it cannot be read: it is said to be base64, and is not.
        mode: how this event is to be answered.
    """

    scope: dict[str, Any]
    body: bytes | None
    handler: Any
    mode: ResponseMode
    cookies: Cookies


async def _no_app(scope: Any, receive: Any, send: Any) -> None:
    """Mangum is asked for its handlers alone."""


_mangum = Mangum(_no_app, lifespan="off")


def translate(invocation: Invocation, context: LambdaContext, *, mode: ResponseMode) -> HttpRequest:
    """The request in an invocation.

    Raises:
        UnsupportedEvent
    """
    try:
        event = json.loads(invocation.body)
        handler = _mangum.infer(event, cast("Any", context))
        scope = dict(handler.scope)
    except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnsupportedEvent(f"this function answers {SUPPORTED}") from error
    try:
        body = handler.body
    except (ValueError, TypeError, AttributeError):
        body = None
    scope["headers"] = [(bytes(name), bytes(value)) for name, value in scope["headers"]]
    # Mangum says 2.0. From 2.4 on, frameworks take an OSError from `send` for a client that left, and start no task
    # that listens for it.
    scope["asgi"] = {"version": "3.0", "spec_version": "2.4"}
    scope["raw_path"] = None
    return HttpRequest(
        scope=scope,
        body=body,
        handler=handler,
        mode=mode if _can_stream(event, handler) else ResponseMode.BUFFERED,
        cookies=Cookies.COOKIES if isinstance(handler, HTTPGateway) else Cookies.MULTI_VALUE_HEADERS,
    )


def _can_stream(event: Mapping[str, Any], handler: object) -> bool:
    """An ALB never streams; of the events with a version (HTTP API, Function URL), only a Function URL's may.

    https://docs.aws.amazon.com/lambda/latest/dg/configuration-response-streaming.html
    """
    if isinstance(handler, ALB):
        return False
    if isinstance(handler, HTTPGateway):
        return ".lambda-url." in str(event["requestContext"].get("domainName", ""))
    return True

"""HTTP requests as Lambda events: API Gateway REST (v1), and Function URL (v2)."""

import base64
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.front.http1 import Head

BINARY_TYPES = ("multipart/form-data", "application/octet-stream", "image/", "audio/", "application/pdf")


def v1(head: Head, body: bytes, *, stage: str = "api", resource: str = "/{proxy+}") -> dict[str, Any]:
    """As https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html has it."""
    url = urlsplit(head.target)
    query = parse_qs(url.query, keep_blank_values=True)
    multi: dict[str, list[str]] = {}
    for name, value in [*head.headers, ("X-Forwarded-For", "192.0.2.7"), ("X-Forwarded-Proto", "https")]:
        multi.setdefault(name, []).append(value)
    text, is_base64 = _body(head, body)
    return {
        "resource": resource,
        "path": unquote(url.path),
        "httpMethod": head.method,
        "headers": {name: values[-1] for name, values in multi.items()},
        "multiValueHeaders": multi,
        "queryStringParameters": {name: values[-1] for name, values in query.items()} or None,
        "multiValueQueryStringParameters": query or None,
        "pathParameters": {"proxy": url.path.lstrip("/")},
        "stageVariables": None,
        "requestContext": {
            "resourcePath": resource,
            "httpMethod": head.method,
            "path": f"/{stage}{url.path}",
            "stage": stage,
            "requestId": "front",
            "identity": {"sourceIp": "192.0.2.7", "userArn": None},
            "apiId": "local",
        },
        "body": text,
        "isBase64Encoded": is_base64,
    }


def v2(head: Head, body: bytes) -> dict[str, Any]:
    """As https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html has it."""
    url = urlsplit(head.target)
    headers: dict[str, str] = {}
    for name, value in head.headers:
        key = name.lower()
        headers[key] = f"{headers[key]},{value}" if key in headers else value
    cookies = headers.pop("cookie", "")
    text, is_base64 = _body(head, body)
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": url.path,
        "rawQueryString": url.query,
        **({"cookies": cookies.split("; ")} if cookies else {}),
        "headers": headers,
        "requestContext": {
            "domainName": "local.lambda-url.us-east-1.on.aws",
            "http": {"method": head.method, "path": url.path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.7"},
            "stage": "$default",
            "requestId": "front",
        },
        "body": text,
        "isBase64Encoded": is_base64,
    }


def alb(head: Head, body: bytes) -> dict[str, Any]:
    """As https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html has it."""
    event = v1(head, body)
    return {
        "requestContext": {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:us-east-1:1:targetgroup/x/1"}},
        "httpMethod": event["httpMethod"],
        "path": event["path"],
        "queryStringParameters": event["queryStringParameters"] or {},
        "headers": {name.lower(): value for name, value in event["headers"].items()},
        "body": event["body"] or "",
        "isBase64Encoded": event["isBase64Encoded"],
    }


def _body(head: Head, body: bytes) -> tuple[str | None, bool]:
    """By the declared type alone, as API Gateway decides by `binaryMediaTypes`."""
    if not body:
        return None, False
    if head.get("content-type").startswith(BINARY_TYPES):
        return base64.b64encode(body).decode(), True
    return body.decode(errors="replace"), False

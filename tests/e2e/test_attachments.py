"""Images and files by URL: fetched from public addresses only, whatever name or redirect leads elsewhere."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from typing_extensions import override

from tests.served import Served
from tests.upstreams import Upstream

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 16
# The hasty server may fetch from 127.0.0.2, as an operator could allow it; from the rest of loopback it may not.
ALLOWED, PRIVATE = "127.0.0.2", "127.0.0.1"


class Listener(ThreadingHTTPServer):
    """Counts who comes."""

    def __init__(self, address: str) -> None:
        self.paths: list[str] = []
        self.redirect_to = ""
        super().__init__((address, 0), _Handler)

    @property
    def root(self) -> str:
        return f"http://{self.server_address[0]!s}:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Listener

    def do_GET(self) -> None:
        self.server.paths.append(self.path)
        if self.path == "/redirect":
            self.send_response(302)
            self.send_header("location", self.server.redirect_to)
            self.end_headers()
            return
        self.send_response(404 if self.path == "/missing" else 200)
        kinds = {"/pixel.png": "image/png", "/page": "text/html", "/paper.pdf": "application/pdf", "/big": "image/png"}
        self.send_header("content-type", kinds.get(self.path, "text/plain"))
        self.end_headers()
        self.wfile.write(PNG * 20_000 if self.path == "/big" else PNG)

    @override
    def log_message(self, *_: object) -> None:
        pass


def listening(address: str) -> Iterator[Listener]:
    with Listener(address) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()


@pytest.fixture
def allowed() -> Iterator[Listener]:
    yield from listening(ALLOWED)


@pytest.fixture
def private() -> Iterator[Listener]:
    yield from listening(PRIVATE)


def image(url: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]


def ask(server: Served, messages: Any, model: str = "demo/echo") -> httpx.Response:
    return server.post({"model": model, "messages": messages})


@pytest.mark.parametrize(
    "host",
    [
        "{address}",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "0.0.0.0",
        "127.0.0.1.",
        "user@127.0.0.1",
        "169.254.169.254",
        "[fd00:ec2::254]",
        "10.0.0.1",
        "192.168.0.1",
        "172.16.0.1",
        "100.64.0.1",
        "[fe80::1]",
        "[fc00::1]",
        "224.0.0.1",
        "255.255.255.255",
        "no-such-host.invalid",
    ],
)
def test_a_url_to_an_address_that_is_not_public_is_refused(host: str, served: Served, private: Listener) -> None:
    url = f"http://{host.format(address=PRIVATE)}:{private.server_port}/pixel.png"
    answer = ask(served, image(url))
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert (error["code"], error["param"]) == ("unsafe_url", "messages[0].content[0]")
    assert private.paths == []


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gs://bucket/x", "s3://bucket/x", "//127.0.0.1/x", "x", ""]
)
def test_only_http_and_data_urls_are_taken(url: str, served: Served) -> None:
    answer = ask(served, image(url))
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "unsafe_url")


def test_a_redirect_to_a_private_address_is_not_followed(hasty: Served, allowed: Listener, private: Listener) -> None:
    allowed.redirect_to = f"{private.root}/pixel.png"
    answer = ask(hasty, image(f"{allowed.root}/redirect"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "unsafe_url")
    assert allowed.paths == ["/redirect"]
    assert private.paths == []


def test_a_redirect_to_another_scheme_is_not_followed(hasty: Served, allowed: Listener) -> None:
    allowed.redirect_to = "file:///etc/passwd"
    assert ask(hasty, image(f"{allowed.root}/redirect")).json()["error"]["code"] == "unsafe_url"


def test_an_endless_redirect_ends(hasty: Served, allowed: Listener) -> None:
    allowed.redirect_to = f"{allowed.root}/redirect"
    assert ask(hasty, image(f"{allowed.root}/redirect")).status_code == 400
    assert len(allowed.paths) == 4


@pytest.mark.parametrize(("path", "status"), [("/pixel.png", 200), ("/page", 400), ("/missing", 400), ("/big", 400)])
def test_what_is_no_image_or_too_large_is_refused(path: str, status: int, hasty: Served, allowed: Listener) -> None:
    assert ask(hasty, image(allowed.root + path)).status_code == status
    assert allowed.paths == [path]


@pytest.mark.parametrize("wire", ["openai", "azure", "anthropic", "bedrock", "compatible"])
def test_every_provider_gets_the_content_and_none_gets_the_url(
    wire: str, hasty: Served, upstream: Upstream, allowed: Listener
) -> None:
    answer = ask(hasty, image(f"{allowed.root}/pixel.png"), model=wire)
    assert answer.status_code == 200, answer.text
    sent = str(upstream.last.body)
    assert allowed.root not in sent
    assert "iVBORw0KGgo" in sent


def test_a_file_by_url_becomes_data_too(
    hasty: Served, upstream: Upstream, allowed: Listener, private: Listener
) -> None:
    def paper(url: str) -> Any:
        return [{"role": "user", "content": [{"type": "file", "file": {"file_data": url, "filename": "a.pdf"}}]}]

    assert ask(hasty, paper(f"{allowed.root}/paper.pdf"), model="openai").status_code == 200
    assert allowed.paths == ["/paper.pdf"]
    assert "data:application/pdf;base64," in str(upstream.last.body)
    assert ask(hasty, paper(f"{private.root}/paper.pdf")).json()["error"]["code"] == "unsafe_url"
    assert private.paths == []


def test_data_urls_pass_untouched(served: Served, upstream: Upstream) -> None:
    url = "data:image/png;base64,iVBORw0KGgo="
    assert ask(served, image(url), model="openai").status_code == 200
    assert upstream.last.body["messages"][0]["content"][0]["image_url"]["url"] == url


def test_too_many_urls_are_refused_before_any_is_fetched(hasty: Served, allowed: Listener) -> None:
    part = {"type": "image_url", "image_url": {"url": f"{allowed.root}/pixel.png"}}
    answer = ask(hasty, [{"role": "user", "content": [part] * 21}])
    assert answer.status_code == 400
    assert allowed.paths == []

"""Servers that many tests share: one loopback upstream and one zerogate per test process."""

from collections.abc import Iterator

import pytest

from bootstrap.local_cognito import LocalCognito, local_cognito
from tests.served import Served, models_file, serving
from tests.upstreams import Upstream


@pytest.fixture(scope="session")
def shared_upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


@pytest.fixture
def upstream(shared_upstream: Upstream) -> Upstream:
    shared_upstream.reset()
    return shared_upstream


@pytest.fixture(scope="session")
def served(shared_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with ordinary settings, over every wire."""
    with serving(tmp_path_factory.mktemp("served"), models=models_file(shared_upstream.url)) as server:
        yield server


@pytest.fixture(scope="session")
def hasty(shared_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with short limits: time, silence, and a payload cap of 64 KiB."""
    with serving(
        tmp_path_factory.mktemp("hasty"),
        models=models_file(shared_upstream.url),
        ZEROGATE_STREAM_SECONDS="1.5",
        ZEROGATE_COLLECTED_SECONDS="1.5",
        ZEROGATE_WAITING_SECONDS="0.3",
        ZEROGATE_STALLED_READER_SECONDS="1",
        ZEROGATE_MAX_REQUEST_BYTES="65536",
        ZEROGATE_ATTACHMENT_NETWORKS="127.0.0.2/32",
        ZEROGATE_ATTACHMENT_BYTES="100000",
    ) as server:
        # Loading LiteLLM takes longer than these limits: the call that does it ends at the deadline.
        while server.post({"model": "openai", "messages": [{"role": "user", "content": "x"}]}).status_code == 504:
            pass
        yield server


@pytest.fixture(scope="session")
def cognito(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCognito]:
    with local_cognito(tmp_path_factory.mktemp("cognito")) as running:
        yield running


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"

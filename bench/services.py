"""What the function talks to during a measurement, in processes of their own: Cognito with a key, provider, front.

python -m bench.services cognito|upstream|front  prints one line of JSON and serves until its standard input closes.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Serve."""
    if sys.argv[1] == "cognito":
        _cognito()
    elif sys.argv[1] == "front":
        _front(json.loads(sys.argv[2]))
    else:
        from tests.upstreams import Upstream  # noqa: PLC0415

        with Upstream(keep_alive=60) as upstream:
            _announce({"url": upstream.url})


def _cognito() -> None:
    import logging  # noqa: PLC0415

    from auth.records import PolicyDocument  # noqa: PLC0415
    from bootstrap.local_cognito import local_cognito  # noqa: PLC0415
    from gateway.identity import Scope  # noqa: PLC0415

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with TemporaryDirectory() as folder, local_cognito(Path(folder)) as cognito:
        policy = PolicyDocument(scopes=frozenset({Scope.INFERENCE}))
        key = cognito.writer().create_key(owner="bench@example.com", team="bench", policy=policy, created_by="bench")
        _announce({"endpoint_url": cognito.endpoint_url, "pool_id": cognito.pool_id, "key": key.reveal()})


def _front(launch: dict[str, Any]) -> None:
    from tests.front import Launch, fronted  # noqa: PLC0415

    paths = {name: Path(launch[name]) for name in ("tree", "log")}
    with fronted(Launch(**{**launch, **paths, "command": tuple(launch["command"])})) as front:
        front.call(front.ready())
        _announce({"url": front.url})


def _announce(content: dict[str, str]) -> None:
    print(json.dumps(content), flush=True)
    sys.stdin.read()


@contextmanager
def service(name: str, *arguments: str) -> Iterator[dict[str, Any]]:
    """Runs while the block does."""
    command = [sys.executable, "-m", "bench.services", name, *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
        process.stdin.close()


if __name__ == "__main__":
    main()

"""The built artifact under the local front, with a Cognito on loopback: what a deployment runs, as near as it gets."""

import fcntl
import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import openai
import yaml

from auth.records import PolicyDocument
from bootstrap.local_cognito import LOCAL_CREDENTIALS_ENVIRONMENT, LocalCognito
from gateway.identity import Scope
from infra_sam.build import PACKAGES, ROOT, Options, build
from infra_sam.target import Target
from tests.front import Front, Launch, fronted
from tests.front.environment import wrapper_command
from tests.served import PROVIDER_KEY, clean_environment

TREE = ROOT / "build" / "here"


def artifact() -> Path:
    """The tree for this interpreter and processor, built anew when anything in it has changed."""
    TREE.parent.mkdir(exist_ok=True)
    stamp = TREE.with_name("here.stamp")
    with TREE.with_name("here.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        now = _fingerprint()
        if not stamp.exists() or stamp.read_text() != now or not TREE.exists():
            build(Options(target=Target.here(), tree=TREE))
            stamp.write_text(now)
    return TREE


def _fingerprint() -> str:
    files = [ROOT / "requirements" / "server.txt", ROOT / "pyproject.toml"]
    for package in (*PACKAGES, "infra_sam"):
        files += [path for path in sorted((ROOT / package).rglob("*")) if path.is_file() and path.suffix != ".pyc"]
    digest = hashlib.sha256(sys.version.encode())
    for file in files:
        digest.update(file.as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def system_python() -> str:
    """The interpreter without this repository's virtual environment: what is not in the artifact is not there."""
    return str(Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}")


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """A front with a function behind it."""

    front: Front
    api_key: str
    resources: ExitStack

    @property
    def url(self) -> str:
        return self.front.url

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.api_key}"}

    def client(self, **more: Any) -> openai.OpenAI:
        settings: dict[str, Any] = {"base_url": f"{self.url}/v1", "api_key": self.api_key, "max_retries": 0, **more}
        return self.resources.enter_context(openai.OpenAI(**settings))

    def post(self, body: Any, path: str = "/v1/chat/completions", **more: Any) -> httpx.Response:
        return httpx.post(f"{self.url}{path}", json=body, headers=self.headers, timeout=60, **more)

    def log_lines(self) -> list[dict[str, Any]]:
        """All lines of the function's log; with Lambda's JSON format each must be an object."""
        return [json.loads(line) for line in self.front.log().splitlines()]

    def usage_of(self, request_id: str) -> dict[str, Any]:
        found = [line for line in self.log_lines() if line["message"] == "usage" and line["request_id"] == request_id]
        assert len(found) == 1, f"{len(found)} usage lines for {request_id}"
        return found[0]


@contextmanager
def deployed(
    folder: Path,
    cognito: LocalCognito,
    models: Mapping[str, Any],
    *,
    seconds: float = 60.0,
    handler: str = "gateway",
    **options: Any,
) -> Iterator[Deployed]:
    """A fresh deployment. Upper-case options are variables of the function's environment, others are the front's."""
    environment = {name: value for name, value in options.items() if name.isupper()}
    front_options = {name: value for name, value in options.items() if not name.isupper()}
    (folder / "models.yaml").write_text(yaml.safe_dump(dict(models)))
    key = cognito.writer().create_key(
        owner="ana@example.com",
        team="search",
        policy=PolicyDocument(scopes=frozenset({Scope.INFERENCE})),
        created_by="a test",
    )
    tree = artifact()
    launch = Launch(
        command=wrapper_command(tree, system_python()),
        tree=tree,
        handler=f"bootstrap.lambda_entry.{handler}",
        environment=clean_environment(
            folder,
            **{
                "PLANTED_KEY": PROVIDER_KEY,
                "AWS_LAMBDA_LOG_LEVEL": "INFO",
                "ZEROGATE_MODELS_FILE": str(folder / "models.yaml"),
                "ZEROGATE_COGNITO_USER_POOL_ID": cognito.pool_id,
                "ZEROGATE_COGNITO_ENDPOINT_URL": cognito.endpoint_url,
                **LOCAL_CREDENTIALS_ENVIRONMENT,
                **environment,
            },
        ),
        log=folder / "function.log",
        seconds=seconds,
    )
    with fronted(launch, **front_options) as front, ExitStack() as resources:
        yield Deployed(front=front, api_key=key.reveal(), resources=resources)

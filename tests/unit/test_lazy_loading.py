"""What calls no model never loads a model library, and each surface loads only its own."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.served import clean_environment

# Runs the application in this process's place, with the official transport for ASGI apps, and prints what got loaded.
PROGRAM = """
import anyio, httpx, io, json, sys
from auth import key_format
from auth.records import PolicyDocument, person_username
from bootstrap.app import build_app
from bootstrap.settings import read_settings

key = key_format.generate()
policy = PolicyDocument(scopes=frozenset({"inference"})).model_dump_json(exclude_none=True)
everyone = {"enabled": True, "custom:policy": policy}
records = {
    f"k_{key.kid}": {**everyone, "custom:digest": key.digest, "custom:exp": "0", "name": "o"},
    person_username("o"): everyone,
}

class Records:
    async def read(self, username):
        return records.get(username)

lines = io.StringIO()
app = build_app(read_settings(), records=Records(), usage_stream=lines)
AUTH = {"authorization": f"Bearer {key.reveal()}"}
RPC = {**AUTH, "accept": "application/json, text/event-stream"}

def rpc(method, **params):
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}

phases = iter(["startup", "shutdown"])
leave = anyio.Event()

async def main():
    started = anyio.Event()
    async def receive():
        phase = next(phases)
        if phase == "shutdown":
            await leave.wait()
        return {"type": f"lifespan.{phase}"}
    async def send(message):
        assert message["type"].endswith(".complete"), message
        started.set()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(app, {"type": "lifespan"}, receive, send)
        await started.wait()
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            await run(client)
        leave.set()

async def run(client):
    async def check(expected, method, path, **more):
        answer = await client.request(method, path, **more)
        assert answer.status_code == expected, (path, answer.status_code, answer.text)
        return answer
%s

anyio.run(main)
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""
OPENAI = """
    await check(200, "GET", "/healthz")
    await check(200, "GET", "/v1/models", headers=AUTH)
    await check(200, "GET", "/v1/models/demo/echo", headers=AUTH)
    await check(401, "GET", "/v1/models")
    await check(404, "GET", "/nothing")
    await check(405, "GET", "/v1/chat/completions", headers=AUTH)
    chat, hello = "/v1/chat/completions", [{"role": "user", "content": "hello"}]
    await check(404, "POST", chat, headers=AUTH, json={"model": "x", "messages": hello})
    await check(400, "POST", chat, headers=AUTH, json={"model": "demo/echo", "messages": 1})
    await check(413, "POST", chat, headers=AUTH, content=b"x" * 5_000_000)
"""
DEMO_CHAT = """
    body = {"model": "demo/echo", "messages": [{"role": "user", "content": "hello"}]}
    answer = await check(200, "POST", "/v1/chat/completions", headers=AUTH, json=body)
    assert answer.json()["choices"][0]["message"]["content"] == "hello"
"""
MCP = """
    info = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    await check(200, "POST", "/mcp", headers=RPC, json=rpc("initialize", **info))
    listed = await check(200, "POST", "/mcp", headers=RPC, json=rpc("tools/list"))
    assert "list_models" in listed.text
    called = await check(200, "POST", "/mcp", headers=RPC, json=rpc("tools/call", name="list_models", arguments={}))
    assert "demo/echo" in called.text
"""


def loaded_by(steps: str, home: Path) -> set[str]:
    import json

    indented = "\n".join(f"    {line.strip()}" if line.strip() else "" for line in steps.splitlines())
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM % indented],
        capture_output=True,
        text=True,
        env=clean_environment(home),
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("steps", [OPENAI, OPENAI + DEMO_CHAT], ids=["no model", "the demo model"])
def test_the_openai_surface_loads_neither_litellm_nor_the_mcp_sdk(steps: str, tmp_path: Path) -> None:
    # Powertools' Logger, which writes the usage lines, brings parts of botocore; boto3 itself waits for Cognito.
    assert not {"litellm", "openai", "mcp", "mcp_types", "boto3", "moto"} & loaded_by(steps, tmp_path)


def test_mcp_discovery_and_list_models_never_load_litellm(tmp_path: Path) -> None:
    loaded = loaded_by(MCP, tmp_path)
    assert "mcp" in loaded
    assert not {"litellm", "openai", "boto3", "botocore"} & loaded


def test_keycli_help_loads_none_of_the_server(tmp_path: Path) -> None:
    program = """
import sys
sys.argv = ["keycli", "--help"]
from keycli.main import run
try:
    run()
finally:
    print(*sorted(sys.modules), file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=clean_environment(tmp_path), check=False
    )
    assert done.returncode == 0
    assert "verify" in done.stdout
    loaded = {name.split(".")[0] for name in done.stderr.split()}
    assert not {"httpx", "pydantic", "starlette", "boto3", "auth", "gateway", "bootstrap"} & loaded

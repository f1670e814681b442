"""The commands as a user runs them: processes with a clean home and no credentials."""

import json
import signal
import socket
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import openai
import pytest
import yaml
from moto.server import ThreadedMotoServer
from typing_extensions import override

from bootstrap.cognito_client import build_client
from tests.served import BIN, PROVIDER_KEY, Served, clean_environment, sent, serving
from tests.upstreams import Upstream


def run(*command: str, home: Path, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(BIN / command[0]), *command[1:]],
        input=stdin,
        capture_output=True,
        text=True,
        env=clean_environment(home, **environment),
        check=False,
        timeout=60,
    )


class TestServe:
    def test_the_ready_file_is_private_and_complete(self, tmp_path: Path) -> None:
        with serving(tmp_path) as server:
            ready = json.loads((tmp_path / "ready.json").read_text())
            assert set(ready) == {"base_url", "mcp_url", "admin_url", "api_key", "admin_key"}
            assert stat.S_IMODE((tmp_path / "ready.json").stat().st_mode) == 0o600
            assert ready["admin_url"] == f"{server.root}/admin/v1"
            assert server.client().models.list().data[0].id == "demo/echo"

    def test_the_page_has_what_to_paste(self, tmp_path: Path) -> None:
        with serving(tmp_path) as server:
            page = (tmp_path / "page.txt").read_text()
        for part in (server.base_url, server.mcp_url, "curl", "from openai import OpenAI", "mcpServers", "keycli"):
            assert part in page
        assert page.count(server.api_key) == 2, "once to see, once to paste"
        assert not (tmp_path / "ready.json").exists(), "it would tell of a server that is gone"
        assert server.admin_key not in page
        log = server.log.read_text()
        assert server.api_key not in log
        assert server.admin_key not in log

    def test_the_pages_commands_work_when_pasted_into_a_shell(self, tmp_path: Path) -> None:
        with serving(tmp_path) as server:
            page = (tmp_path / "page.txt").read_text()
            script = page[page.index("export OPENAI") : page.index("An MCP client")].replace(".venv/bin", str(BIN))
            done = subprocess.run(
                ["bash", "-eu", "-c", script],  # noqa: S607
                capture_output=True,
                text=True,
                env=clean_environment(tmp_path),
                check=False,
                timeout=60,
            )
            assert done.returncode == 0, done.stderr
            assert "data: [DONE]" in done.stdout
            assert "Hello from the OpenAI SDK" in done.stdout
            assert "works: owner you@zerogate.local" in done.stdout
            assert server.api_key not in done.stdout

    def test_keys_still_work_after_a_restart_and_after_a_kill(self, tmp_path: Path) -> None:
        with serving(tmp_path) as first:
            old = first.api_key
            first.process.send_signal(signal.SIGKILL)
            first.process.wait()
        with serving(tmp_path) as second:
            assert second.client(api_key=old).models.list().data
            assert second.api_key != old

    def test_a_second_start_makes_no_key_unless_it_is_asked_to(self, tmp_path: Path) -> None:
        data = ("--data-dir", str(tmp_path / "data"))
        with serving(tmp_path, arguments=data) as first:
            key_id = first.api_key[6:18]
        page = self._page_of_a_start(tmp_path, *data)
        assert "sk-zg_" not in page
        assert 'OPENAI_API_KEY="<your key>"' in page
        assert f"k_{key_id}" in page
        assert "and 1 more" not in page, "the admin key asks no models"
        assert "--new-key" in page
        assert "sk-zg_" in self._page_of_a_start(tmp_path, *data, "--new-key")

    @staticmethod
    def _page_of_a_start(folder: Path, *arguments: str) -> str:
        command = [str(BIN / "zerogate"), "serve", "--port", "0", *arguments]
        with subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=clean_environment(folder),
        ) as process:
            assert process.stdout
            page = ""
            for line in process.stdout:
                page += line
                if "mcpServers" in line:
                    break
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 0, "to stop it is no failure"
        return page

    def test_a_taken_port_is_told_with_the_way_out(self, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            done = run("zerogate", "serve", "--port", str(taken.getsockname()[1]), home=tmp_path)
        assert done.returncode == 1
        assert "--port=0" in done.stderr
        assert "Traceback" not in done.stderr
        done = run("zerogate", "serve", "--host", "no-such-host.invalid", home=tmp_path)
        assert done.returncode == 1
        assert "port" not in done.stderr.split(":", 3)[-1]

    def test_a_server_for_the_whole_network_says_so(self, tmp_path: Path) -> None:
        with serving(tmp_path, arguments=("--host", "0.0.0.0")) as server:
            assert server.root.startswith("http://127.0.0.1:")
            assert "plain HTTP" in (tmp_path / "page.txt").read_text()

    def test_stopping_it_in_the_middle_of_an_answer_still_writes_the_line(self, tmp_path: Path) -> None:
        models = {"model_list": [{"model_name": "m", "litellm_params": {"model": "demo/echo", "delay": 60}}]}
        with serving(tmp_path, models) as server:
            body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "x"}]}
            with sent(server, "/v1/chat/completions", body, server.headers):
                # The next answer comes after the request before it was taken up.
                server.client().models.list()
                server.process.send_signal(signal.SIGINT)
                assert server.process.wait(15) == 0
            log = server.log.read_text()
        assert "Traceback" not in log
        assert "cut short" in log
        (line,) = server.usage_lines()
        assert line["outcome"] == "client_gone"

    def test_a_bad_models_file_is_told_with_every_problem(self, tmp_path: Path) -> None:
        (tmp_path / "m.yaml").write_text(
            "model_list:\n- {model_name: a, litellm_params: {model: x, api_key: os.environ/ONE}}\n"
            "- {model_name: b, litellm_params: {model: x, api_key: os.environ/TWO}}\n"
        )
        done = run("zerogate", "serve", "--models", str(tmp_path / "m.yaml"), home=tmp_path)
        assert done.returncode == 1
        assert "ONE" in done.stderr
        assert "TWO" in done.stderr
        assert "Traceback" not in done.stderr

    def test_every_wrong_setting_is_told_at_once(self, tmp_path: Path) -> None:
        done = run(
            "zerogate",
            "serve",
            home=tmp_path,
            ZEROGATE_STREAM_SECONDS="-1",
            ZEROGATE_ATTACHMENT_NETWORKS="x,10.0.0.0/8",
        )
        assert done.returncode == 1
        assert "ZEROGATE_STREAM_SECONDS" in done.stderr
        assert "ZEROGATE_ATTACHMENT_NETWORKS" in done.stderr
        assert "Traceback" not in done.stderr

    def test_provider_credentials_make_their_models_appear(self, tmp_path: Path, upstream: Upstream) -> None:
        environment = {"OPENAI_API_KEY": PROVIDER_KEY, "OPENAI_BASE_URL": f"{upstream.url}/v1"}
        with serving(tmp_path, None, (), **environment) as server:
            names = {model.id for model in server.client().models.list()}
            assert {"demo/echo", "openai/gpt-4o"} <= names
            answer = server.client().chat.completions.create(
                model="openai/gpt-4o", messages=[{"role": "user", "content": "x"}]
            )
            assert answer.choices[0].message.content == "Hello from the loopback upstream"
            assert upstream.last.headers["authorization"] == f"Bearer {PROVIDER_KEY}"

    def test_a_providers_key_can_be_kept_in_the_parameter_store(self, tmp_path: Path, upstream: Upstream) -> None:
        moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        moto.start()
        try:
            host, port = moto.get_host_and_port()
            keys: dict[str, Any] = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
            session = boto3.session.Session(region_name="us-east-1", **keys)
            ssm = session.client("ssm", endpoint_url=f"http://{host}:{port}")
            ssm.put_parameter(Name="/zerogate/key", Value="key-from-the-store", Type="SecureString")
            params = {"model": "openai/gpt-4o", "api_base": f"{upstream.url}/v1", "api_key": "ssm:/zerogate/key"}
            missing = {**params, "api_key": "ssm:/zerogate/missing"}
            models = {
                "model_list": [{"model_name": n, "litellm_params": p} for n, p in (("a", params), ("b", missing))]
            }
            environment = {name.upper(): value for name, value in keys.items()}
            environment |= {"AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL_SSM": f"http://{host}:{port}"}
            with serving(tmp_path, models, (), **environment) as server:
                ask: Any = {"messages": [{"role": "user", "content": "x"}]}
                server.client().chat.completions.create(model="a", **ask)
                assert upstream.last.headers["authorization"] == "Bearer key-from-the-store"
                with pytest.raises(openai.APIStatusError) as failure:
                    server.client().chat.completions.create(model="b", **ask)
                assert failure.value.status_code == 502
                assert "key-from-the-store" not in server.log.read_text()
        finally:
            moto.stop()

    def test_a_real_user_pool_can_stand_in_for_the_embedded_one(self, tmp_path: Path) -> None:
        with serving(tmp_path) as local:
            key = local.api_key
        records = {p.stem: json.loads(p.read_text()) for p in (tmp_path / "data" / "cognito").glob("*.json")}
        moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        moto.start()
        try:
            host, port = moto.get_host_and_port()
            endpoint = f"http://{host}:{port}"
            client = build_client(region="us-east-1", endpoint_url=endpoint, local=True)
            pool = client.create_user_pool(PoolName="t")["UserPool"]["Id"]
            for username, record in records.items():
                pairs = [{"Name": n, "Value": v} for n, v in record["attributes"].items()]
                client.admin_create_user(UserPoolId=pool, Username=username, UserAttributes=pairs)  # type: ignore[arg-type]
            page = self._start_over_a_pool(tmp_path, pool, endpoint, key)
        finally:
            moto.stop()
        assert pool in page

    @staticmethod
    def _start_over_a_pool(folder: Path, pool: str, endpoint: str, key: str) -> str:
        environment = clean_environment(
            folder,
            ZEROGATE_COGNITO_USER_POOL_ID=pool,
            ZEROGATE_COGNITO_ENDPOINT_URL=endpoint,
            AWS_ACCESS_KEY_ID="x",
            AWS_SECRET_ACCESS_KEY="x",
        )
        with subprocess.Popen(
            [str(BIN / "zerogate"), "serve", "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        ) as process:
            assert process.stdout
            page = ""
            for line in process.stdout:
                page += line
                if pool in line:
                    break
            root = page.split("ready at ")[1].split()[0]
            with openai.OpenAI(base_url=f"{root}/v1", api_key=key, max_retries=0) as client:
                assert "demo/echo" in {model.id for model in client.models.list()}
            process.send_signal(signal.SIGINT)
        return page


class TestDoctor:
    def test_on_a_fresh_machine_it_names_what_to_set(self, tmp_path: Path) -> None:
        done = run("zerogate", "doctor", home=tmp_path)
        assert done.returncode == 0, done.stdout
        assert "OPENAI_API_KEY" in done.stdout
        assert "demo/echo" in done.stdout

    def test_half_of_a_credential_is_noticed(self, tmp_path: Path) -> None:
        done = run("zerogate", "doctor", home=tmp_path, AZURE_API_KEY=PROVIDER_KEY)
        assert "AZURE_API_BASE" in done.stdout
        assert PROVIDER_KEY not in done.stdout + done.stderr

    def test_an_entry_that_cannot_work_is_noticed(self, tmp_path: Path) -> None:
        entries = {"a": "nosuchprovider/x", "b": "anthropic/claude-sonnet-4-5", "c": "demo/echo"}
        models = {"model_list": [{"model_name": n, "litellm_params": {"model": m}} for n, m in entries.items()]}
        (tmp_path / "m.yaml").write_text(yaml.safe_dump(models))
        done = run("zerogate", "doctor", "--models", str(tmp_path / "m.yaml"), home=tmp_path)
        assert "a: LiteLLM may not know the provider 'nosuchprovider'" in done.stdout
        assert "b: no credentials for anthropic" in done.stdout
        assert "c: " not in done.stdout

    def test_what_is_wrong_makes_it_fail(self, tmp_path: Path) -> None:
        (tmp_path / "m.yaml").write_text("model_list: 1")
        done = run("zerogate", "doctor", "--models", str(tmp_path / "m.yaml"), home=tmp_path)
        assert done.returncode == 1
        assert "model_list" in done.stdout
        pool = {
            "ZEROGATE_COGNITO_USER_POOL_ID": "eu-central-1_x",
            "ZEROGATE_COGNITO_ENDPOINT_URL": "http://127.0.0.1:9",
        }
        done = run("zerogate", "doctor", home=tmp_path, AWS_ACCESS_KEY_ID="x", AWS_SECRET_ACCESS_KEY="x", **pool)
        assert done.returncode == 1
        assert "does not answer" in done.stdout

    def test_an_unwritable_data_folder_is_noticed(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        done = run("zerogate", "doctor", home=tmp_path, ZEROGATE_DATA_DIR=str(tmp_path / "file" / "below"))
        assert done.returncode == 1
        assert "ZEROGATE_DATA_DIR" in done.stdout


class TestModels:
    def test_they_are_listed_with_window_and_price(self, tmp_path: Path) -> None:
        done = run("zerogate", "models", home=tmp_path, OPENAI_API_KEY="x")
        line = next(line for line in done.stdout.splitlines() if line.split()[0] == "openai/gpt-4o")
        assert "128,000 tokens" in line
        assert "$2.5 in, $10 out" in line

    def test_discovery_proposes_a_file_that_can_be_used_as_it_is(self, tmp_path: Path, providers: str) -> None:
        environment = {
            "OPENAI_API_KEY": PROVIDER_KEY,
            "OPENAI_BASE_URL": f"{providers}/v1",
            "ANTHROPIC_API_KEY": PROVIDER_KEY,
            "ANTHROPIC_BASE_URL": providers,
            "AZURE_API_KEY": PROVIDER_KEY,
            "AZURE_API_BASE": providers,
            "AZURE_API_VERSION": "2024-10-21",
            "AWS_ACCESS_KEY_ID": "x",
            "AWS_SECRET_ACCESS_KEY": PROVIDER_KEY,
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_ENDPOINT_URL_BEDROCK": providers,
            "GEMINI_API_KEY": PROVIDER_KEY,
        }
        done = run("zerogate", "models", "discover", home=tmp_path, **environment)
        assert done.returncode == 0, done.stderr
        assert PROVIDER_KEY not in done.stdout + done.stderr
        names = {
            entry["model_name"]: entry["litellm_params"]["model"] for entry in yaml.safe_load(done.stdout)["model_list"]
        }
        assert names == {
            "gpt-one": "openai/gpt-one",
            "claude-one": "anthropic/claude-one",
            "deployment-one": "azure/deployment-one",
            "eu.amazon.nova-lite-v1:0": "bedrock/eu.amazon.nova-lite-v1:0",
            "amazon.nova-micro-v1:0": "bedrock/amazon.nova-micro-v1:0",
        }
        assert "gemini has no list" in done.stderr
        (tmp_path / "models.yaml").write_text(done.stdout)
        listed = run("zerogate", "models", "--models", str(tmp_path / "models.yaml"), home=tmp_path, **environment)
        assert listed.returncode == 0, listed.stderr
        assert "claude-one" in listed.stdout

    def test_discovery_without_credentials_says_so(self, tmp_path: Path) -> None:
        done = run("zerogate", "models", "discover", home=tmp_path)
        assert done.returncode == 1
        assert "doctor" in done.stderr

    def test_a_provider_that_refuses_is_named_and_the_credential_is_not(self, tmp_path: Path, providers: str) -> None:
        environment = {"OPENAI_API_KEY": "wrong-key-1234567", "OPENAI_BASE_URL": f"{providers}/v1"}
        done = run("zerogate", "models", "discover", home=tmp_path, **environment)
        assert done.returncode == 1
        assert "401" in done.stderr
        assert "wrong-key-1234567" not in done.stderr


@pytest.fixture
def providers() -> Iterator[str]:
    """The providers' list endpoints, in their own shapes."""
    import threading
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    profile = {"inferenceProfileId": "eu.amazon.nova-lite-v1:0", "inferenceProfileName": "n", "status": "ACTIVE"}
    profile |= {"type": "SYSTEM_DEFINED", "inferenceProfileArn": "arn:aws:bedrock:eu-central-1::inference-profile/x"}
    direct = {"modelId": "amazon.nova-micro-v1:0", "modelArn": "arn:x", "responseStreamingSupported": True}
    answers: dict[str, Any] = {
        "/openai/deployments": {"data": [{"id": "deployment-one", "model": "gpt-4o"}]},
        "/inference-profiles": {"inferenceProfileSummaries": [profile]},
        "/foundation-models": {"modelSummaries": [direct]},
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            key = "x-api-key" if "x-api-key" in self.headers else "authorization"
            allowed = PROVIDER_KEY in (self.headers.get(key) or "") or path != "/v1/models"
            body = answers.get(path) or {"data": [{"id": "claude-one" if key == "x-api-key" else "gpt-one"}]}
            self.send_response(200 if allowed else 401)
            self.send_header("content-type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        @override
        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class TestKeycliVerify:
    def test_it_tells_what_a_key_may_do(self, served: Served, tmp_path: Path) -> None:
        done = run("keycli", "verify", "--url", served.root, home=tmp_path, stdin=served.api_key + "\n")
        assert done.returncode == 0, done.stderr
        assert "works: owner you@zerogate.local, team local" in done.stdout
        assert "inference" in done.stdout
        as_json = run("keycli", "verify", "--url", served.base_url, "--json", home=tmp_path, stdin=served.api_key)
        assert json.loads(as_json.stdout)["scopes"] == ["inference"]
        assert served.api_key not in done.stdout + done.stderr + as_json.stdout

    @pytest.mark.parametrize(
        ("key", "url", "code", "word"),
        [
            ("sk-zg_x", "{root}", 4, "not a whole"),
            ("", "{root}", 4, "no key came in"),
            ("{key}x", "{root}", 4, "not a whole"),
            ("Bearer {key}", "{root}", 4, "without 'Bearer'"),
            ("'{key}'", "{root}", 4, "without quotes"),
            ("sk-proj-abc", "{root}", 4, "begin with sk-zg_"),
            ("sk-zg_example0key1_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg2quVrM", "{root}", 4, "Invalid"),
            ("{key}", "http://127.0.0.1:9", 6, "cannot be reached"),
            ("{key}", "http://example.com", 2, "https only"),
            ("{key}", "ftp://127.0.0.1", 2, "has to look like"),
        ],
    )
    def test_what_is_wrong_has_its_own_exit_code(
        self, key: str, url: str, code: int, word: str, served: Served, tmp_path: Path
    ) -> None:
        stdin, address = key.format(key=served.api_key), url.format(root=served.root)
        done = run("keycli", "verify", "--url", address, home=tmp_path, stdin=stdin)
        assert (done.returncode, done.stdout) == (code, "")
        assert word in done.stderr
        assert served.api_key not in done.stderr
        assert "Traceback" not in done.stderr

    def test_a_key_as_an_argument_is_refused_and_not_printed(self, served: Served, tmp_path: Path) -> None:
        done = run("keycli", "verify", served.api_key, "--url", served.root, home=tmp_path)
        assert done.returncode == 2
        assert "standard input" in done.stderr
        assert served.api_key not in done.stdout + done.stderr

    def test_this_machine_needs_no_scheme(self, served: Served, tmp_path: Path) -> None:
        address = served.root.removeprefix("http://")
        assert run("keycli", "verify", "--url", address, home=tmp_path, stdin=served.api_key).returncode == 0

    def test_a_server_that_is_no_zerogate_is_told(self, tmp_path: Path, upstream: Upstream, served: Served) -> None:
        done = run("keycli", "verify", "--url", upstream.url, home=tmp_path, stdin=served.api_key)
        assert done.returncode == 6
        assert "does not answer like a zerogate" in done.stderr


def test_the_version_is_the_one_that_the_server_tells(served: Served, tmp_path: Path) -> None:
    told = httpx.get(f"{served.root}/healthz").json()["version"]
    assert run("zerogate", "version", home=tmp_path).stdout.strip() == told
    assert run("zerogate", "--version", home=tmp_path).stdout.strip() == told

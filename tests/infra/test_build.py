"""The artifact: what goes in, for which machine, and that the same sources give the same bytes."""

import json
import marshal
import os
import socket
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import httpx
import pytest

from infra_sam import build as build_module
from infra_sam import target as target_module
from infra_sam.archive import pack, size_of
from infra_sam.build import LARGEST, LEFT_OUT, LOCKED, MB, PACKAGES, ROOT, Options, build
from infra_sam.libraries import LeftOut, LibrariesError, prune, wanted
from infra_sam.target import Arch, Target, TargetError
from tests.deployed import artifact, system_python
from tests.infra.stack import SAM_BIN, sam_environment
from tests.served import clean_environment


def test_two_builds_give_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one without the cache, in another folder."""
    first = pack(artifact(), tmp_path / "first.zip")
    monkeypatch.setattr(build_module, "CACHE", tmp_path / "cache")
    tree = build(Options(target=Target.here(), tree=tmp_path / "elsewhere" / "tree"))
    assert pack(tree, tmp_path / "second.zip") == first
    zipped = (tmp_path / "second.zip").stat().st_size
    assert zipped <= 50 * MB
    assert size_of(tree) <= LARGEST[False]


def test_byte_code_is_never_checked_against_sources_and_names_lambdas_folder() -> None:
    content = (artifact() / "gateway" / "chat.pyc").read_bytes()
    flags = int.from_bytes(content[4:8], "little")
    # PEP 552: hash-based, unchecked.
    assert flags == 0b01
    code = marshal.loads(content[16:])  # noqa: S302  our own bytes
    assert code.co_filename == "/var/task/gateway/chat.py"


def test_all_of_ours_is_there_and_none_of_the_tools() -> None:
    tree = artifact()
    for package in PACKAGES:
        sources = {p.relative_to(ROOT).with_suffix(".pyc") for p in (ROOT / package).rglob("*.py")}
        assert all((tree / source).exists() for source in sources)
    for name in ("keycli", "tests", "bench", "infra_sam", "moto", "pytest", "typer", "tokenizers"):
        assert not (tree / name).exists()
    assert all(os.access(tree / script, os.X_OK) for script in ("run.sh", "run_web.sh"))


def test_the_artifact_has_every_package_of_the_server() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert set(PACKAGES) == set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]) - {"keycli"}


def test_only_the_aws_services_in_use_are_there() -> None:
    data = artifact() / "botocore" / "data"
    services = LeftOut.read(LEFT_OUT).aws_services
    assert {path.name for path in data.iterdir() if path.is_dir()} == services
    endpoints = json.loads((data / "endpoints.json").read_text())
    assert set(endpoints["partitions"][0]["services"]) <= services


def test_each_thing_left_out_has_a_reason() -> None:
    left_out = LeftOut.read(LEFT_OUT)
    for reasons in (left_out.distributions, left_out.paths, left_out.emptied):
        assert all(isinstance(reason, str) and reason for reason in reasons.values())


def test_an_entry_that_matches_nothing_stops_the_build(tmp_path: Path) -> None:
    left_out = LeftOut(
        distributions={}, paths={"gone/*": "why"}, emptied={"lost.json": "why"}, aws_services=frozenset()
    )
    with pytest.raises(LibrariesError, match="gone") as error:
        prune(tmp_path, left_out)
    assert "lost.json" in str(error.value)


@pytest.mark.parametrize(("arch", "expected"), [(Arch.ARM64, {"a", "c"}), (Arch.X86_64, {"b", "c"})])
def test_markers_are_judged_for_the_target_and_not_for_this_machine(arch: Arch, expected: set[str]) -> None:
    locked = (
        "# a comment\n"
        "a==1 ; platform_machine == 'aarch64' \\\n    --hash=sha256:1\n"
        "b==1 ; platform_machine == 'x86_64' \\\n    --hash=sha256:2\n"
        "c==1 \\\n    --hash=sha256:3\n"
        "d==1 ; sys_platform == 'win32' \\\n    --hash=sha256:4\n"
        "e==1 ; python_full_version < '3.12' \\\n    --hash=sha256:5\n"
        "tqdm==1 \\\n    --hash=sha256:6\n"
    )
    left_out = LeftOut(distributions={"tqdm": "why"}, paths={}, emptied={}, aws_services=frozenset())
    lines = wanted(locked, Target(runtime="python3.13", arch=arch), left_out).splitlines()
    assert {line.partition("==")[0] for line in lines if "==" in line} == expected
    assert not any(";" in line for line in lines)


def test_what_is_left_out_is_in_the_lock_file() -> None:
    locked = LOCKED.read_text()
    assert all(f"\n{name}==" in locked for name in LeftOut.read(LEFT_OUT).distributions)


def test_without_the_targets_interpreter_the_build_stops_and_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target_module, "_version_of", lambda _: "3.0")
    with pytest.raises(TargetError) as error:
        Target(runtime="python3.13", arch=Arch.ARM64).interpreter()
    assert "ALLOW_SOURCE_ONLY=1" in str(error.value)
    assert "python3.13" in str(error.value)


def test_a_runtime_that_lambda_does_not_have_is_refused(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "infra_sam.build", "--runtime", "python3.9"],
        cwd=ROOT,
        env=clean_environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode != 0
    assert "python3.12, python3.13, python3.14" in done.stderr


def test_a_models_file_can_be_shipped(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("model_list: []\n")
    tree = build(Options(target=Target.here(), tree=tmp_path / "tree", models=file))
    assert (tree / "models.yaml").read_text() == "model_list: []\n"
    # Nothing of it stays in the cache.
    assert not (build(Options(target=Target.here(), tree=tmp_path / "other")) / "models.yaml").exists()


@pytest.mark.timeout(400)
def test_sam_build_makes_the_same_tree_for_both_functions(tmp_path: Path) -> None:
    """For Lambda's default runtime and processor, with byte code where its interpreter is at hand."""
    target = Target(runtime="python3.13", arch=Arch.ARM64)
    environment = {**clean_environment(tmp_path), **sam_environment(), "PATH": clean_environment(tmp_path)["PATH"]}
    pyenv = os.environ.get("PYENV_ROOT", str(Path.home() / ".pyenv"))  # noqa: TID251  where interpreters may be
    environment |= {"ALLOW_SOURCE_ONLY": "1", "HOME": str(tmp_path), "PYENV_ROOT": pyenv}
    command = [str(SAM_BIN / "sam"), "build", "--build-dir", str(tmp_path / "built")]
    done = subprocess.run(
        command, cwd=ROOT / "infra_sam", env=environment, capture_output=True, text=True, check=False, timeout=390
    )
    assert done.returncode == 0, done.stderr
    try:
        target.interpreter()
    except TargetError:
        expected = build(Options(target=target, tree=tmp_path / "tree", source_only=True))
    else:
        expected = build(Options(target=target, tree=tmp_path / "tree"))
    names = {path.relative_to(expected) for path in expected.rglob("*")}
    for function in ("Gateway", "Admin"):
        built = tmp_path / "built" / function
        assert {path.relative_to(built) for path in built.rglob("*")} == names
        assert os.access(built / "run.sh", os.X_OK)


def test_the_web_adapters_start_script_serves_out_of_the_artifact(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    environment = clean_environment(
        tmp_path,
        LAMBDA_TASK_ROOT=str(artifact()),
        PYTHON=system_python(),
        AWS_LWA_PORT=str(port),
        ZEROGATE_COGNITO_USER_POOL_ID="us-east-1_x",
    )
    process = subprocess.Popen([str(artifact() / "run_web.sh")], env=environment, stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 30
        answer: httpx.Response | None = None
        while answer is None:
            try:
                answer = httpx.get(f"http://127.0.0.1:{port}/healthz")
            except httpx.ConnectError:
                assert time.monotonic() < deadline
                assert process.poll() is None, process.stderr.read() if process.stderr else ""
        assert answer.json()["status"] == "ok"
        assert httpx.get(f"http://127.0.0.1:{port}/v1/models").json()["error"]["code"] == "invalid_api_key"
    finally:
        process.terminate()
        assert process.wait(10) in {0, -15}
        if process.stderr:
            process.stderr.close()

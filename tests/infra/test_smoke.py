"""The smoke test itself, against the artifact under the local front: where all is well, and where it is not."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bootstrap.local_cognito import LocalCognito
from infra_sam.build import ROOT
from tests.deployed import deployed
from tests.served import clean_environment

MODELS: dict[str, Any] = {"model_list": [{"model_name": "m", "litellm_params": {"model": "demo/echo", "delay": 0.02}}]}


def smoke(url: str, key: str, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "infra_sam.smoke", url, *arguments],
        cwd=ROOT,
        env=clean_environment(home, ZEROGATE_SMOKE_KEY=key),
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )


def test_it_passes_where_all_is_well(cognito: LocalCognito, tmp_path: Path) -> None:
    with deployed(tmp_path, cognito, MODELS, error_objects=True) as function:
        done = smoke(f"{function.url}/v1", function.api_key, tmp_path)
    assert (done.returncode, "FAILED" in done.stdout) == (0, False), done.stdout + done.stderr
    assert done.stdout.count("ok ") == 13
    assert function.api_key not in done.stdout


def test_it_fails_where_answers_are_not_streamed_or_errors_have_no_object(
    cognito: LocalCognito, tmp_path: Path
) -> None:
    with deployed(tmp_path, cognito, MODELS, buffered=True, ZEROGATE_RESPONSE_MODE="buffered") as function:
        done = smoke(function.url, function.api_key, tmp_path)
    assert done.returncode == 3, done.stdout
    assert "it is buffered" in done.stdout
    assert done.stdout.count("no error object") == 2


@pytest.mark.parametrize("key", ["", "sk-zg_wrong"])
def test_it_says_what_is_missing(key: str, cognito: LocalCognito, tmp_path: Path) -> None:
    with deployed(tmp_path, cognito, MODELS) as function:
        done = smoke(function.url, key, tmp_path)
    assert done.returncode != 0
    assert ("URL and KEY are needed" in done.stderr) if not key else ("401" in done.stdout)

"""What the layout promises: who imports whom, what is guarded, what is documented, what is locked."""

import importlib
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import Route, Router

from auth.guard import Guard
from bootstrap.app import OPEN_PATHS, build_app
from bootstrap.settings import PREFIX, Settings, SettingsError, read_settings

ROOT = Path(__file__).parents[2]
PACKAGES = (
    "auth",
    "bootstrap",
    "gateway",
    "keycli",
    "lambda_runtime",
    "limits",
    "mcp_server",
    "openai_facade",
    "providers",
    "usage",
)


class NoRecords:
    async def read(self, username: str) -> dict[str, Any] | None:
        return None


def routes_of(app: Any) -> list[Route]:
    while not isinstance(app, Router):
        app = getattr(app, "_app", None) or app.app
    return [route for route in app.routes if isinstance(route, Route)]


def test_every_route_but_the_open_ones_is_behind_the_guard() -> None:
    routes = routes_of(build_app(Settings(), records=NoRecords()))
    assert len(routes) >= 7
    unguarded = {route.path for route in routes if not isinstance(route.app, Guard)}
    assert unguarded == OPEN_PATHS


@pytest.mark.parametrize("name", PACKAGES)
def test_each_package_is_the_one_in_this_repository(name: str) -> None:
    """`auth`, `limits` and `usage` are names on the package index, too."""
    module = importlib.import_module(name)
    assert Path(str(module.__file__)).parent == ROOT / name


@pytest.mark.parametrize(
    ("package", "line"),
    [
        ("gateway", "import providers.door"),
        ("auth", "from usage.log_sink import LogSink"),
        ("openai_facade", "import mcp_server.errors"),
        ("limits", "from bootstrap.settings import Settings"),
        ("keycli", "from auth import key_format"),
        ("usage", "import litellm"),
        ("providers", "import mcp"),
        ("gateway", "import boto3"),
        ("limits", "import starlette"),
        ("lambda_runtime", "import gateway.errors"),
        ("lambda_runtime", "import anyio"),
        ("openai_facade", "import lambda_runtime"),
    ],
)
def test_an_import_against_the_rules_breaks_the_check(package: str, line: str, tmp_path: Path) -> None:
    assert _lint(tmp_path, None) == 0
    assert _lint(tmp_path, (package, line)) == 1


def _lint(folder: Path, bad: tuple[str, str] | None) -> int:
    """Exit status of import-linter on a copy of the tree, with a bad import in one of its packages."""
    tree = folder / ("bad" if bad else "good")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tree / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tree)
    if bad:
        (tree / bad[0] / "sneaky.py").write_text(f"{bad[1]}\n")
    program = (
        f"import sys; sys.path.insert(0, {str(tree)!r}); from importlinter.cli import lint_imports; "
        "sys.exit(lint_imports(cache_dir=None))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tree, capture_output=True, check=False, timeout=60)
    return done.returncode


@pytest.mark.parametrize(
    "line", ["import os\nprint(os.environ)", "import os\nprint(os.getenv('X'))", "import asyncio\nasyncio.run"]
)
def test_reading_the_environment_or_bare_asyncio_breaks_the_check(line: str) -> None:
    command = [
        sys.executable,
        "-m",
        "ruff",
        "check",
        "--quiet",
        "--select",
        "TID251",
        "--stdin-filename",
        "gateway/x.py",
        "-",
    ]
    done = subprocess.run(command, input=line.encode(), cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 1
    assert b"TID251" in done.stdout


def test_every_setting_is_documented_with_its_default() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text()
    rows = dict(re.findall(r"^\| `(ZEROGATE_\w+)` \|\s*([^|]*?)\s*\|", text, flags=re.MULTILINE))
    expected = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    assert set(rows) == expected
    for name, field in Settings.model_fields.items():
        said = rows[f"{PREFIX}{name.upper()}"].strip("`")
        assert said == _as_written(field.default), name


def _as_written(default: object) -> str:
    if default is None:
        return ""
    if isinstance(default, tuple):
        return ",".join(default)
    return str(default).lower() if isinstance(default, bool) else str(default)


def test_settings_are_read_from_the_environment_once_and_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZEROGATE_STREAM_SECONDS", "12")
    monkeypatch.setenv("ZEROGATE_CORS_ORIGINS", "https://a.example, https://b.example")
    settings = read_settings()
    assert settings.stream_seconds == 12
    assert settings.cors_origins == ("https://a.example", "https://b.example")
    with pytest.raises(ValueError, match="frozen"):
        settings.stream_seconds = 1  # type: ignore[misc]


def test_every_problem_of_the_settings_is_told_at_once_without_the_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZEROGATE_STREAM_SECONDS", "marked-value")
    monkeypatch.setenv("ZEROGATE_MAX_REQUEST_BYTES", "1")
    with pytest.raises(SettingsError) as error:
        read_settings()
    assert "ZEROGATE_STREAM_SECONDS" in str(error.value)
    assert "ZEROGATE_MAX_REQUEST_BYTES" in str(error.value)
    assert "marked-value" not in str(error.value)


@pytest.mark.parametrize("name", ["server.txt", "dev.txt"])
def test_requirements_are_locked_by_version_and_hash_and_name_no_registry(name: str) -> None:
    text = (ROOT / "requirements" / name).read_text()
    entries = [entry for entry in re.split(r"\n(?=\S)", text) if not entry.startswith("#")]
    assert len(entries) > 50
    assert all("==" in entry and "--hash=sha256:" in entry for entry in entries if entry.strip())
    assert "://" not in text
    assert "--index" not in text


def test_litellm_is_pinned_exactly_and_alike_everywhere() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (pin,) = [line for line in extras["server"] if line.startswith("litellm")]
    assert re.fullmatch(r"litellm==[\d.]+", pin)
    for name in ("server.txt", "dev.txt"):
        assert f"\n{pin} \\" in (ROOT / "requirements" / name).read_text()


def test_the_base_installation_is_keycli_alone() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {re.split(r"[><=\[]", line)[0] for line in project["dependencies"]}
    assert names == {"httpx", "rich", "typer"}


def test_the_names_that_are_given_stay_at_the_top_level() -> None:
    given = ("mcp_server", "openai_facade", "auth", "limits", "keycli", "tests", "pyproject.toml")
    assert all((ROOT / name).exists() for name in given)


def test_the_changelog_knows_the_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text()


def test_links_between_the_docs_lead_somewhere() -> None:
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} -> {target}"

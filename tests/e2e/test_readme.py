"""The README's own examples, run as they stand there."""

import re
import subprocess
import sys
from pathlib import Path

from tests.served import Served, clean_environment

ROOT = Path(__file__).parents[2]


def test_the_python_example_prints_what_it_promises(served: Served, tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    environment = clean_environment(tmp_path, OPENAI_BASE_URL=served.base_url, OPENAI_API_KEY=served.api_key)
    done = subprocess.run(
        [sys.executable, "-c", example], capture_output=True, text=True, env=environment, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "Hello from the OpenAI SDK"), done.stderr


def test_the_models_file_of_the_documentation_can_be_used() -> None:
    from gateway.catalog_file import parse_catalog

    page = (ROOT / "docs" / "configuration.md").read_text()
    small, full = re.findall(r"```yaml\n(.*?)```", page, flags=re.DOTALL)
    assert [entry.name for entry in parse_catalog(small, {}).entries] == ["echo"]
    catalog = parse_catalog(full, {"OPENAI_API_KEY": "x"})
    assert [entry.name for entry in catalog.entries] == ["fast", "careful", "team-arn", "bedrock/*"]


def test_the_make_targets_that_the_documents_name_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    named = {
        target
        for page in pages
        for target in re.findall(r"(?:`|^)make ([a-z-]+)", page.read_text(), flags=re.MULTILINE)
    }
    assert {"serve", "test"} <= named <= targets

"""The third-party part of the artifact: wheels for the target from the hash-locked file, less what is left out."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from infra_sam.target import Target

BOTOCORE_DATA = Path("botocore/data")


class LibrariesError(Exception):
    """The libraries are not what the build expects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """What the artifact does without. The texts are reasons."""

    distributions: Mapping[str, str]
    paths: Mapping[str, str]
    emptied: Mapping[str, str]
    aws_services: frozenset[str]

    @classmethod
    def read(cls, file: Path) -> Self:
        """From left_out.yaml."""
        content = yaml.safe_load(file.read_text())
        return cls(
            distributions=content["distributions"],
            paths=content["paths"],
            emptied=content["emptied"],
            aws_services=frozenset(content["aws_services"]),
        )


def wanted(locked: str, target: Target, left_out: LeftOut) -> str:
    """The lines of a locked requirements file that the target needs, hashes included."""
    kept = []
    for entry in re.split(r"\n(?=\S)", locked):
        if entry.startswith("#") or not entry.strip():
            continue
        requirement = Requirement(entry.split("\\")[0].strip())
        applies = requirement.marker is None or requirement.marker.evaluate(target.markers)
        if applies and canonicalize_name(requirement.name) not in left_out.distributions:
            # Judged already, for the target; pip would judge again, for this machine.
            kept.append(re.sub(r"\s*;[^\\\n]*", " ", entry, count=1) if requirement.marker else entry)
    return "\n".join(kept) + "\n"


def install(requirements: str, target: Target, tree: Path) -> None:
    """Fetch and unpack. Byte code is written later, by the target's interpreter.

    Raises:
        LibrariesError: pip's words, when it fails.
    """
    file = tree.with_suffix(".requirements.txt")
    file.write_text(requirements)
    # No `--no-deps`-less resolution: the file names everything.
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--require-hashes", "--no-deps", "--no-compile"]
    command += ["--disable-pip-version-check", *target.pip_arguments(), "--target", str(tree), "-r", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    file.unlink()
    if done.returncode:
        raise LibrariesError(f"pip could not fetch the wheels for {target.runtime} on {target.arch}:\n{done.stderr}")


def prune(tree: Path, left_out: LeftOut) -> None:
    """Remove what is left out.

    Raises:
        LibrariesError: an entry that matches nothing: the library has changed.
    """
    idle = [name for name in left_out.emptied if not (tree / name).exists()]
    for pattern in left_out.paths:
        found = list(tree.glob(pattern))
        if not found:
            idle.append(pattern)
        for path in found:
            remove(path)
    if idle:
        raise LibrariesError(f"nothing matches these entries of left_out.yaml: {', '.join(idle)}")
    for name in left_out.emptied:
        (tree / name).write_text("{}")
    for service in _services(tree):
        if service.name not in left_out.aws_services:
            remove(service)
    _shorten_endpoints(tree / BOTOCORE_DATA / "endpoints.json", left_out.aws_services)
    missing = left_out.aws_services - {service.name for service in _services(tree)}
    if missing:
        raise LibrariesError(f"botocore knows no {', '.join(sorted(missing))}")


def _shorten_endpoints(file: Path, services: frozenset[str]) -> None:
    content = json.loads(file.read_text())
    for partition in content["partitions"]:
        partition["services"] = {name: value for name, value in partition["services"].items() if name in services}
    file.write_text(json.dumps(content, separators=(",", ":")))


def remove(path: Path) -> None:
    """A file or a whole folder."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _services(tree: Path) -> Iterator[Path]:
    return (path for path in sorted((tree / BOTOCORE_DATA).iterdir()) if path.is_dir())

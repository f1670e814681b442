"""The machine that the artifact is for: Python version and processor, whatever machine builds it."""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Self

# Amazon Linux 2023, on which the runtimes from python3.12 on are based, has glibc 2.34.
# https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html
NEWEST_GLIBC, OLDEST_GLIBC = 34, 5
ON_LAMBDA = ("python3.12", "python3.13", "python3.14")
DEFAULT_RUNTIME = "python3.13"


class TargetError(Exception):
    """The artifact cannot be built for that machine here."""


class Arch(StrEnum):
    """Lambda's names for processors."""

    ARM64 = "arm64"
    X86_64 = "x86_64"

    @property
    def machine(self) -> str:
        """As Python and wheels name it."""
        return "aarch64" if self is Arch.ARM64 else "x86_64"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What to build for."""

    runtime: str
    arch: Arch

    @classmethod
    def here(cls) -> Self:
        """This interpreter on this processor: what tests can run."""
        arch = Arch.ARM64 if platform.machine() in {"aarch64", "arm64"} else Arch.X86_64
        return cls(runtime=f"python{sys.version_info.major}.{sys.version_info.minor}", arch=arch)

    @property
    def version(self) -> str:
        """As `3.13`."""
        return self.runtime.removeprefix("python")

    @property
    def markers(self) -> dict[str, str]:
        """The environment that markers in requirements are judged by: pip judges by the machine it runs on."""
        return {
            "implementation_name": "cpython",
            "implementation_version": f"{self.version}.0",
            "os_name": "posix",
            "platform_machine": self.arch.machine,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": f"{self.version}.0",
            "python_version": self.version,
            "sys_platform": "linux",
        }

    def pip_arguments(self) -> Iterator[str]:
        """Options that make pip take wheels for the target."""
        yield from ("--only-binary=:all:", "--implementation", "cp", "--python-version", self.version)
        for glibc in range(NEWEST_GLIBC, OLDEST_GLIBC - 1, -1):
            yield from ("--platform", f"manylinux_2_{glibc}_{self.arch.machine}")
        for old in ("manylinux2014", "manylinux2010", "manylinux1"):
            yield from ("--platform", f"{old}_{self.arch.machine}")

    def interpreter(self) -> str:
        """One of the target's minor version, which alone writes byte code that the target reads.

        Raises:
            TargetError: there is none on this machine.
        """
        for candidate in (sys.executable, *_found(self.runtime), *_managed(self.version)):
            if _version_of(candidate) == self.version:
                return candidate
        raise TargetError(
            f"Byte code for {self.runtime} can only be written by {self.runtime}, and there is none here. "
            f"Install it (for example 'uv python install {self.version}' or 'pyenv install {self.version}'), choose "
            "another one with RUNTIME=python3.12, or set ALLOW_SOURCE_ONLY=1 to build without byte code: every cold "
            "start then takes two to three times as long."
        )


def _found(name: str) -> Iterator[str]:
    """All interpreters of that name on the PATH: the first may be a shim that does not run."""
    for folder in os.get_exec_path():
        if found := shutil.which(name, path=folder):
            yield found


def _managed(version: str) -> Iterator[str]:
    """Where pyenv and uv keep interpreters that are not on the PATH."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    uv = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "uv" / "python"
    for folder, pattern in ((pyenv, f"{version}.*"), (uv, f"cpython-{version}.*")):
        for home in sorted(folder.glob(pattern), reverse=True):
            yield str(home / "bin" / f"python{version}")


def _version_of(interpreter: str) -> str | None:
    program = "import sys; print('%d.%d' % sys.version_info[:2] if sys.implementation.name == 'cpython' else '')"
    try:
        done = subprocess.run([interpreter, "-c", program], capture_output=True, text=True, check=False, timeout=30)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None

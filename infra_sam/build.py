"""Builds what Lambda runs: build/lambda-<arch>/ and build/lambda-<arch>.zip.

make build                                          # arm64, python3.13
make build ARCH=x86_64 RUNTIME=python3.12 MODELS=models.yaml
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from infra_sam import byte_code
from infra_sam.archive import pack, size_of
from infra_sam.libraries import LeftOut, LibrariesError, install, prune, wanted
from infra_sam.target import DEFAULT_RUNTIME, ON_LAMBDA, Arch, Target, TargetError

ROOT = Path(__file__).parents[1]
LOCKED = ROOT / "requirements" / "server.txt"
CACHE = ROOT / "build" / "cache"
LEFT_OUT = ROOT / "infra_sam" / "left_out.yaml"
# Ours, of which everything goes in.
PACKAGES = (
    "auth",
    "bootstrap",
    "gateway",
    "lambda_runtime",
    "limits",
    "mcp_server",
    "openai_facade",
    "providers",
    "usage",
)
MB = 1_000_000
COMPILERS = 2
# Lambda takes 250 MB unzipped (https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html).
LARGEST = {True: 230 * MB, False: 140 * MB}


class BuildError(Exception):
    """There is no artifact."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What to build.

    Attributes:
        keep_sources: ship `.py` files, too; tracebacks then show lines.
        source_only: no byte code at all.
        models: a models.yaml to put at the top of the tree.
    """

    target: Target
    tree: Path
    keep_sources: bool = False
    source_only: bool = False
    models: Path | None = None


def build(options: Options) -> Path:
    """Make the tree. Libraries come from a cache of earlier builds where nothing about them changed.

    Raises:
        TargetError, LibrariesError, BuildError
    """
    tree = options.tree.absolute()
    libraries = _libraries(options)
    partial = tree.with_name(f"{tree.name}.partial-{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(libraries, partial, copy_function=_link)
    _add_ours(partial, options)
    if tree.exists():
        # Not the folder itself: `sam build` hands one over.
        for path in tree.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    tree.mkdir(parents=True, exist_ok=True)
    for path in partial.iterdir():
        path.rename(tree / path.name)
    partial.rmdir()
    size, limit = size_of(tree), LARGEST[options.keep_sources or options.source_only]
    if size > limit:
        raise BuildError(f"the tree is {size / MB:.1f} MB; the limit is {limit / MB:.0f} MB. See left_out.yaml")
    return tree


def _libraries(options: Options) -> Path:
    """The third-party part, pruned and compiled, under a name that says all that it was made of."""
    left_out = LeftOut.read(LEFT_OUT)
    requirements = wanted(LOCKED.read_text(), options.target, left_out)
    tools = [Path(__file__).with_name(name).read_bytes() for name in ("libraries.py", "byte_code.py", "left_out.yaml")]
    kind = f"{options.target}{options.keep_sources}{options.source_only}{requirements}".encode()
    key = hashlib.sha256(b"\0".join([kind, *tools])).hexdigest()[:16]
    cached = CACHE / f"{options.target.runtime}-{options.target.arch}-{key}"
    if cached.exists():
        return cached
    if not options.source_only:
        options.target.interpreter()  # fails now, and not after a download
    print(f"fetching the libraries for {options.target.runtime} on {options.target.arch}", file=sys.stderr)
    partial = cached.with_name(f"{cached.name}.partial-{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    install(requirements, options.target, partial)
    prune(partial, left_out)
    _compile(partial, options)
    _set_times(partial)
    try:
        partial.rename(cached)
    except OSError:
        # Another build was faster.
        shutil.rmtree(partial)
    return cached


def _add_ours(tree: Path, options: Options) -> None:
    ours = tree.with_name(f"{tree.name}-ours")
    shutil.rmtree(ours, ignore_errors=True)
    ours.mkdir(parents=True)
    for package in PACKAGES:
        if (tree / package).exists():
            raise BuildError(f"a library brings a package {package!r}, which is the name of one of ours")
        shutil.copytree(ROOT / package, ours / package, ignore=shutil.ignore_patterns("__pycache__"))
    _compile(ours, options)
    for path in ours.iterdir():
        path.rename(tree / path.name)
    ours.rmdir()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    metadata = tree / f"{project['name']}-{project['version']}.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    for script in ("run.sh", "run_web.sh"):
        shutil.copy(ROOT / "infra_sam" / script, tree / script)
        (tree / script).chmod(0o755)
    if options.models is not None:
        shutil.copy(options.models, tree / "models.yaml")
    _set_times(tree)


def _compile(tree: Path, options: Options) -> None:
    """In processes with files of their own; which ones depends on nothing but the names."""
    if options.source_only:
        return
    names = sorted(path.relative_to(tree).as_posix() for path in tree.rglob("*.py"))
    # `-I` keeps this repository off the path; the seed fixes the order of sets in byte code.
    command = [options.target.interpreter(), "-I", "-S", byte_code.__file__, str(tree), str(int(options.keep_sources))]
    environment = {"PYTHONHASHSEED": "0", "PATH": os.environ.get("PATH", "")}
    running = []
    for part in range(COMPILERS):
        process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, text=True)
        running.append((process, "\n".join(names[part::COMPILERS])))
    with ThreadPoolExecutor(COMPILERS) as threads:
        list(threads.map(lambda pair: pair[0].communicate(pair[1]), running))
    if any(process.returncode for process, _ in running):
        raise BuildError("the byte code could not be written")


def _link(source: str, destination: str) -> None:
    """A second name for a file in the cache, where the file system can; nothing writes to either."""
    try:
        os.link(source, destination)
    except OSError:
        shutil.copy2(source, destination)


def _set_times(tree: Path) -> None:
    for path in tree.rglob("*"):
        os.utime(path, (315_532_800, 315_532_800))


def _has_interpreter(target: Target) -> bool:
    try:
        target.interpreter()
    except TargetError as error:
        print(f"without byte code: {error}", file=sys.stderr)
        return False
    return True


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="make build", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    here = Target.here()
    parser.add_argument("--arch", choices=[*Arch, "here"], default=Arch.ARM64, help="processor (default: arm64)")
    parser.add_argument(
        "--runtime", default=DEFAULT_RUNTIME, help=f"{', '.join(ON_LAMBDA)} (default: {DEFAULT_RUNTIME})"
    )
    parser.add_argument("--tree", type=Path, help="where to put it (default: build/lambda-<arch>)")
    parser.add_argument("--models", type=Path, help="a models.yaml to ship")
    parser.add_argument("--keep-sources", action="store_true", help="ship .py files beside the byte code")
    parser.add_argument("--source-only", action="store_true", help="ship .py files and no byte code")
    parser.add_argument(
        "--allow-source-only",
        action="store_true",
        help="without byte code where no interpreter of the target version is at hand: every cold start is slower",
    )
    parser.add_argument("--no-zip", action="store_true", help="make the tree alone")
    arguments = parser.parse_args()
    runtime = here.runtime if arguments.runtime == "here" else arguments.runtime
    if runtime not in {*ON_LAMBDA, here.runtime}:
        parser.error(f"Lambda has {', '.join(ON_LAMBDA)}; {runtime!r} is none of them")
    target = Target(runtime=runtime, arch=here.arch if arguments.arch == "here" else Arch(arguments.arch))
    tree = arguments.tree or ROOT / "build" / f"lambda-{target.arch}"
    try:
        source_only = arguments.source_only or (arguments.allow_source_only and not _has_interpreter(target))
        build(
            Options(
                target=target,
                tree=tree,
                keep_sources=arguments.keep_sources,
                source_only=source_only,
                models=arguments.models,
            )
        )
        digest = None if arguments.no_zip else pack(tree, tree.with_name(f"{tree.name}.zip"))
    except (TargetError, LibrariesError, BuildError, OSError) as error:
        print(f"make build: {error}", file=sys.stderr)
        return 1
    shown: dict[str, object] = {"tree": str(tree), "runtime": runtime, "arch": target.arch}
    shown["tree_mb"] = round(size_of(tree) / MB, 1)
    if digest is not None:
        archive = tree.with_name(f"{tree.name}.zip")
        shown |= {"zip": str(archive), "zip_mb": round(archive.stat().st_size / MB, 1), "sha256": digest}
    print(json.dumps(shown, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())

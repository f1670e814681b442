"""Byte code in place of sources, written by the target's interpreter. This file runs there: standard library alone.

A zip function's folder is read-only, so what is not compiled before is compiled at every cold start. Files are checked
by nothing when they are loaded (`unchecked-hash`), and name the path that they have on Lambda, wherever they were made.
"""

import py_compile
import re
import sys
import tokenize
from pathlib import Path

# Where Lambda unpacks the artifact.
TASK_ROOT = "/var/task"


def compile_files(tree: Path, names: list[str], *, keep_sources: bool) -> None:
    """Compile the files of a tree, in this order: the same files in the same order give the same bytes.

    What is not Python of this version (a template, a fixture) stays as it is, and is named on stderr.
    """
    for name in names:
        source = tree / name
        cached = source.parent / "__pycache__" / f"{source.stem}.{sys.implementation.cache_tag}.pyc"
        try:
            py_compile.compile(
                str(source),
                cfile=str(cached if keep_sources else source.with_suffix(".pyc")),
                dfile=f"{TASK_ROOT}/{name}",
                doraise=True,
                optimize=0,
                invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
            )
        except (py_compile.PyCompileError, tokenize.TokenError, ValueError) as error:
            first_line = re.split(r"[\r\n]", str(error).strip())[0]
            print(f"not compiled: {name}: {first_line}", file=sys.stderr)
            continue
        if not keep_sources:
            source.unlink()


if __name__ == "__main__":
    folder, sources_too = sys.argv[1:]
    compile_files(Path(folder), sys.stdin.read().splitlines(), keep_sources=sources_too == "1")

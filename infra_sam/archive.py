"""The zip: the same tree gives the same bytes, whoever packs it and when."""

import hashlib
import zipfile
from pathlib import Path

# The first moment that a zip can name.
EPOCH = (1980, 1, 1, 0, 0, 0)
FILE, EXECUTABLE = 0o100644, 0o100755


def pack(tree: Path, archive: Path) -> str:
    """Write the zip. Returns its SHA-256."""
    archive.unlink(missing_ok=True)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        for path in sorted(tree.rglob("*")):
            if path.is_dir():
                continue
            info = zipfile.ZipInfo(path.relative_to(tree).as_posix(), EPOCH)
            info.external_attr = (EXECUTABLE if path.suffix == ".sh" else FILE) << 16
            info.create_system = 3
            info.compress_type = zipfile.ZIP_DEFLATED
            file.writestr(info, path.read_bytes())
    return hashlib.sha256(archive.read_bytes()).hexdigest()


def size_of(tree: Path) -> int:
    """Bytes of all files."""
    return sum(path.stat().st_size for path in tree.rglob("*") if path.is_file())

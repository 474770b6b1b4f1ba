"""onnxruntime-web: the three files of the npm package that a page needs, copied from where they are or downloaded.

In order: the package's folder in the environment variable TEXLENS_ONNXRUNTIME_WEB; `node_modules` of the current
folder; TexLens's cache; `npm pack`, whose files go to the cache.
"""

import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from platformdirs import user_cache_path

from texlens.core.errors import ExportError, one_line

VERSION = "1.30.0"
FILES = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
VARIABLE = "TEXLENS_ONNXRUNTIME_WEB"
DOWNLOAD_TIMEOUT_S = 600


def copy_runtime(folder: Path) -> str:
    """Copies the runtime's files into a folder; returns where they came from.

    Raises:
        ExportError: they are nowhere, and npm can't download them.
    """
    source = _installed() or _downloaded()
    for name in FILES:
        shutil.copyfile(source / name, folder / name)
    return f"onnxruntime-web {VERSION}"


def _installed() -> Path | None:
    """The `dist` folder of a package that is there.

    Raises:
        ExportError: the environment variable names a folder without the files.
    """
    if named := os.environ.get(VARIABLE):
        if not _has_files(Path(named) / "dist"):
            raise ExportError(f"{VARIABLE}={named}: not the folder of the npm package onnxruntime-web")
        return Path(named) / "dist"
    local = Path("node_modules") / "onnxruntime-web" / "dist"
    return next((path for path in (local, _cache()) if _has_files(path)), None)


def _has_files(folder: Path) -> bool:
    return all((folder / name).is_file() for name in FILES)


def _cache() -> Path:
    return user_cache_path("texlens") / f"onnxruntime-web-{VERSION}"


def _downloaded() -> Path:
    """
    Raises:
        ExportError: there is no npm, or it can't download the package.
    """
    npm = shutil.which("npm")
    remedy = f"npm install onnxruntime-web@{VERSION} here, or name the package's folder in {VARIABLE}"
    if npm is None:
        raise ExportError(f"--format web: needs onnxruntime-web {VERSION}, and there is no npm; {remedy}")
    with tempfile.TemporaryDirectory() as temporary:
        command = [npm, "pack", f"onnxruntime-web@{VERSION}", "--silent", "--pack-destination", temporary]
        done = subprocess.run(command, capture_output=True, text=True, timeout=DOWNLOAD_TIMEOUT_S, check=False)
        archive = next(Path(temporary).glob("*.tgz"), None)
        if done.returncode or archive is None:
            reason = one_line(done.stderr.strip() or "no archive", 200)
            raise ExportError(f"--format web: npm can't download onnxruntime-web {VERSION} ({reason}); {remedy}")
        _unpack(archive, _cache())
    return _cache()


def _unpack(archive: Path, folder: Path) -> None:
    """The files that a page needs; the last one is there only if all are."""
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive) as package:
        for name in FILES:
            member = package.extractfile(f"package/dist/{name}")
            assert member is not None
            partial = folder / f".{name}.{os.getpid()}"
            partial.write_bytes(member.read())
            partial.replace(folder / name)

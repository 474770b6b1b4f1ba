import os
import tarfile

import pytest

from texlens.core.errors import ExportError
from texlens.exporting.web.runtime import FILES, VARIABLE, VERSION, copy_runtime

NPM = """#!/bin/sh
echo "$@" > "{record}"
cp "{archive}" "$5"
"""


@pytest.fixture(autouse=True)
def empty_machine(tmp_path, monkeypatch):
    """No package, no cache, no npm."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "out").mkdir()


def write_package(folder) -> None:
    (folder / "dist").mkdir(parents=True)
    for name in FILES:
        (folder / "dist" / name).write_text(name)


def test_a_named_package_is_copied(tmp_path, monkeypatch):
    write_package(tmp_path / "package")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "package"))
    assert copy_runtime(tmp_path / "out") == f"onnxruntime-web {VERSION}"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(FILES)


def test_a_named_folder_without_the_package_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with pytest.raises(ExportError, match="not the folder of the npm package"):
        copy_runtime(tmp_path / "out")


def test_the_package_of_the_current_folder_is_copied(tmp_path):
    write_package(tmp_path / "node_modules" / "onnxruntime-web")
    copy_runtime(tmp_path / "out")
    assert (tmp_path / "out" / FILES[0]).read_text() == FILES[0]


def test_without_npm_the_remedy_is_named(tmp_path):
    with pytest.raises(ExportError, match=f"npm install onnxruntime-web@{VERSION} here, or name .* in {VARIABLE}"):
        copy_runtime(tmp_path / "out")


def test_npm_downloads_once(tmp_path, monkeypatch):
    write_package(tmp_path / "package")
    with tarfile.open(tmp_path / "package.tgz", "w:gz") as archive:
        archive.add(tmp_path / "package", "package")
    (tmp_path / "bin").mkdir()
    npm = tmp_path / "bin" / "npm"
    npm.write_text(NPM.format(record=tmp_path / "arguments", archive=tmp_path / "package.tgz"))
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}/usr/bin{os.pathsep}/bin")
    copy_runtime(tmp_path / "out")
    assert (tmp_path / "arguments").read_text().startswith(f"pack onnxruntime-web@{VERSION} --silent")
    npm.unlink()
    copy_runtime(tmp_path / "out")
    assert (tmp_path / "out" / FILES[2]).read_text() == FILES[2]


def test_a_failed_download_gives_npms_reason(tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    npm = tmp_path / "bin" / "npm"
    npm.write_text("#!/bin/sh\necho 'no network' >&2\nexit 1\n")
    npm.chmod(0o755)
    with pytest.raises(ExportError, match=r"can't download onnxruntime-web .* \(no network\)"):
        copy_runtime(tmp_path / "out")

import re
import subprocess
from pathlib import Path

import texlens
from texlens.core.own_process import code_command, module_command


def test_files_of_the_current_folder_are_not_imported(tmp_path):
    for name in ("texlens", "json"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('a file of the current folder ran')\n")
    done = subprocess.run(module_command("texlens", "--version"), cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert texlens.__version__ in done.stdout
    done = subprocess.run(code_command("import json, sys; print(sys.argv[1])", "x"), cwd=tmp_path, capture_output=True)
    assert done.stdout == b"x\n", done.stderr


def test_no_process_of_the_package_is_started_otherwise():
    started = re.compile(r"""sys\.executable,\s*"-[mc]""")
    package = Path(texlens.__file__).parent
    assert not [str(path.relative_to(package)) for path in package.rglob("*.py") if started.search(path.read_text())]

"""Runs `latex` on formulas that were printed from our own tree: one page each, in a folder of its own, with limits.

No shell, no file outside of the folder, no environment but what TeX needs; memory, processor time and output bounded.
"""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from texlens.core.errors import LatexError
from texlens.latex.tex.dvi import DviError, DviItem, read_pages
from texlens.latex.tex.fonts import width_of

TIMEOUT_S = 300
CPU_S = 60
MEMORY_BYTES = 1 << 30
OUTPUT_BYTES = 256 << 20
_AT_ONCE = 1000
_MOST_RUNS = 200
_COMMAND = ["-no-shell-escape", "-interaction=batchmode", "-output-format=dvi", "formulas.tex"]
_PREAMBLE = r"""\documentclass[12pt]{article}
\usepackage{amsmath,amssymb}
\setcounter{MaxMatrixCols}{200}
\ifdefined\RawShipout\let\ship\RawShipout\else\let\ship\shipout\fi
\begin{document}
"""
_PAGE = r"""\typeout{texlens page %d}\count0=%d
\setbox0\hbox{$%s\special{texlens:<}%s\special{texlens:>}$}\ship\box0
\setbox1\vbox{\leavevmode\par}
"""
# The empty paragraph resets TeX's error count: at the hundredth error it would stop.
_PAGE_BEGINS = re.compile(r"texlens page (\d+)")


def is_installed() -> bool:
    """Whether TeX Live is installed."""
    return shutil.which("latex") is not None


def typeset(sources: Sequence[str], *, display: bool = True) -> list[list[DviItem] | str]:
    """Each source's items, or TeX's error message. Sources are TeX code: print them with `source.marked_source`.

    The specials `texlens:<` and `texlens:>` are at both ends of the baseline.

    Raises:
        LatexError: TeX Live is not installed.
    """
    latex = shutil.which("latex")
    if latex is None:
        raise LatexError("TeX Live is not installed; install it (Debian: texlive-latex-base), or use our own renderer")
    out: list[list[DviItem] | str] = []
    for _ in range(_MOST_RUNS):
        batch = sources[len(out) : len(out) + _AT_ONCE]
        if not batch:
            return out
        out += _typeset(latex, batch, "\\displaystyle" if display else "\\textstyle")
    return out + ["TeX stopped too often"] * (len(sources) - len(out))


def _typeset(latex: str, sources: Sequence[str], style: str) -> list[list[DviItem] | str]:
    """As many of the sources as TeX came to, the one included at which it stopped."""
    with tempfile.TemporaryDirectory(prefix="texlens-") as folder:
        page_sources = [_PAGE % (number, number, style, source) for number, source in enumerate(sources, 1)]
        (Path(folder) / "formulas.tex").write_text(
            _PREAMBLE + "".join(page_sources) + "\\end{document}\n", encoding="ascii"
        )
        _run(latex, Path(folder))
        log = Path(folder) / "formulas.log"
        problems, begun = _problems(log.read_text(encoding="latin-1") if log.is_file() else "")
        dvi = Path(folder) / "formulas.dvi"
        try:
            pages = dict(read_pages(dvi.read_bytes(), width_of)) if dvi.is_file() else {}
        except DviError as error:
            pages, problems = {}, dict.fromkeys(range(1, begun + 1), f"TeX's output can't be read: {error}")
    if not begun:  # killed before it wrote its log
        return ["TeX was stopped"] if len(sources) == 1 else _typeset(latex, sources[: len(sources) // 2], style)
    return [problems.get(number) or pages.get(number, "TeX stopped at it") for number in range(1, begun + 1)]


def _run(latex: str, folder: Path) -> None:
    environment = {
        "PATH": str(Path(latex).parent) + ":/usr/bin:/bin",
        "HOME": str(folder),
        "TEXMFHOME": str(folder),
        "TEXMFVAR": str(folder),
        "TEXMFOUTPUT": str(folder),
        "openin_any": "p",
        "openout_any": "p",
        "shell_escape": "f",
        "max_print_line": "1000",
    }
    process = subprocess.Popen(
        [latex, *_COMMAND],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    _bound(process.pid)
    try:
        process.wait(TIMEOUT_S)
    except subprocess.TimeoutExpired:
        pass  # what it came to counts
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _bound(pid: int) -> None:
    """Limits of memory, processor time and output, where the system has them."""
    try:
        from resource import RLIMIT_AS, RLIMIT_CPU, RLIMIT_FSIZE, prlimit
    except ImportError:
        return
    for limit, most in ((RLIMIT_AS, MEMORY_BYTES), (RLIMIT_CPU, CPU_S), (RLIMIT_FSIZE, OUTPUT_BYTES)):
        with suppress(OSError):  # it has ended already
            prlimit(pid, limit, (most, most))


def _problems(log: str) -> tuple[dict[int, str], int]:
    """The first error of each page, and the last page that was begun."""
    problems: dict[int, str] = {}
    page = 0
    for line in log.splitlines():
        if begun := _PAGE_BEGINS.match(line):
            page = int(begun[1])
        elif line.startswith("! "):
            problems.setdefault(page, f"TeX: {line[2:]}")
    return problems, page

"""`texlens data catalog`"""

from typing import Annotated

import typer

from texlens.cli.shared import Json, print_json, result_console


def catalog(
    name: Annotated[str | None, typer.Argument(help="Only entries whose name holds this text.")] = None,
    as_json: Json = False,
) -> None:
    """List public data sets: ids on both hubs, rows, size, license, known defects, and the command to import them.

    Examples:

        texlens data catalog
        texlens data catalog crohme
    """
    from texlens.core.errors import DataError
    from texlens.data.catalog import CATALOG

    entries = [entry for entry in CATALOG if name is None or name.lower() in entry.name.lower()]
    if not entries:
        raise DataError(f"no data set named {name!r} in the catalog; it has {', '.join(e.name for e in CATALOG)}")
    if as_json:
        print_json([entry.to_json() for entry in entries])
        return
    console = result_console()
    for entry in entries:
        console.print(entry.name, style="bold", markup=False, highlight=False)
        hubs = [f"huggingface {entry.huggingface}"] if entry.huggingface else []
        hubs += [f"modelscope {entry.modelscope}"] if entry.modelscope else []
        lines = [
            entry.holds,
            f"{', '.join(hubs) or 'on no hub'}{f', subset {entry.subset}' if entry.subset else ''}",
            f"rows: {entry.rows}; size: {entry.size or 'not stated'}; license: {entry.license or 'not stated'}",
            *([f"known: {entry.defects}"] if entry.defects else []),
            *([f"not verified: {entry.unverified}"] if entry.unverified else []),
            *([f"read: {', '.join(entry.sources)}"] if entry.sources else []),
            entry.command,
        ]
        for line in lines:
            console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)

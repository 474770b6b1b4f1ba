"""`texlens data mix`"""

from pathlib import Path
from typing import Annotated

import typer

from texlens.cli.data.opening import open_splits
from texlens.cli.data.statistics import Output, Overwrite, Seed, print_statistics
from texlens.cli.progress import row_bar
from texlens.cli.shared import Json, message_console


def mix(
    sources: Annotated[list[str], typer.Argument(metavar="DIR:SHARE", help="A data set and its share, 0 to 1.")],
    output: Output,
    seed: Seed = 0,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Mix data sets, so that what was learnt before is rehearsed while something new is learnt.

    Of each set's train rows the share is drawn; validation and test are taken whole, for a score of each domain. A
    row's domain names the set it came from. NAME=DIR:SHARE gives a set another name than its folder's.

    Examples:

        texlens data mix data/handwriting:1.0 data/printed:0.1 -o data/rehearsed
        texlens data mix new=data/a/rows:1 old=data/b/rows:.05 -o data/rehearsed --seed 7
    """
    from texlens.core.errors import ConfigError
    from texlens.data.convert import mix as mixed
    from texlens.data.convert import write_parts

    sources_by_name = {}
    for source in sources:
        name, folder, share = _parsed(source)
        if name in sources_by_name:
            raise ConfigError(f"{source}: two sets are called {name!r}; write another name as NAME={folder}:{share:g}")
        sources_by_name[name] = (folder, share)
    opened = {name: (open_splits(folder), share) for name, (folder, share) in sources_by_name.items()}
    parts = mixed(opened, seed=seed)
    made_by = {"command": "mix", "sources": {name: list(each) for name, each in sources_by_name.items()}, "seed": seed}
    with row_bar(message_console(), "writing rows", sum(part.rows.total for part in parts)) as on_row:
        statistics, stood = write_parts(output, parts, made_by, overwrite=overwrite, on_row=on_row)
    print_statistics(output, statistics, stood, as_json)


def _parsed(source: str) -> tuple[str, str, float]:
    """
    Example:
        "old=data/printed:0.1" -> ("old", "data/printed", 0.1);  "data/printed:0.1" -> ("printed", "data/printed", 0.1)
    """
    from texlens.core.errors import ConfigError

    folder, _, share_text = source.rpartition(":")
    name, name_given, path = folder.partition("=")
    try:
        share = float(share_text)
    except ValueError as error:
        raise ConfigError(f"{source}: no share; write {source}:1.0, or {source}:0.1 for a tenth") from error
    if not folder:
        raise ConfigError(f"{source}: no folder; write DIR:SHARE, such as data/printed:0.1")
    return (name, path, share) if name_given else (Path(folder).name, folder, share)

"""`texlens data validate`"""

import hashlib
from pathlib import Path
from typing import Annotated, Literal

import typer

from texlens.cli.data.opening import EditsOption, FamilyOption, geometry_for, ignored_files, open_splits, print_ignored
from texlens.cli.shared import Json, message_console, print_json, result_console

FORMAT = "How rows are read; auto looks at the files."
SHOWN = 3


def validate(
    source: Annotated[str, typer.Argument(metavar="DIR|ID|FILE", help="A folder, a file or a hub's id.")],
    as_json: Json = False,
    fix: Annotated[bool, typer.Option("--fix", help="Write a fixed copy to -o; the source stays as it is.")] = False,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="NEW", help="The fixed copy.")] = None,
    leaks: Annotated[
        Literal["keep", "to-train", "out-of-train"],
        typer.Option(help="With --fix: rows that are in two splits stay, move to train, or go out of train."),
    ] = "keep",
    drop: Annotated[
        list[str] | None, typer.Option(metavar="KIND", help="With --fix: leave out rows of this kind too.")
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace a data set that stands at -o.")] = False,
    family: FamilyOption = "qwen3-vl",
    subset: Annotated[str | None, typer.Option(help="The data set's configuration, such as small.")] = None,
    format: Annotated[str, typer.Option(help=FORMAT)] = "auto",
    edits: EditsOption = None,
    task: Annotated[
        Literal["auto", "latex", "text"], typer.Option(help="Whether answers are LaTeX; auto looks at them.")
    ] = "auto",
    no_render: Annotated[bool, typer.Option("--no-render", help="Parse labels, but don't lay them out.")] = False,
    context: Annotated[int, typer.Option(min=1, help="Tokens that a row may have.")] = 32_768,
    min_pixels: Annotated[int | None, typer.Option(min=1, help="The budget's floor; default: the family's.")] = None,
    max_pixels: Annotated[int | None, typer.Option(min=1, help="The budget's ceiling; default: the family's.")] = None,
    all_findings: Annotated[bool, typer.Option("--all", help=f"Print every finding, not {SHOWN} of a kind.")] = False,
    allow_outside: Annotated[bool, typer.Option(help="Let data files name images outside their folder.")] = False,
) -> None:
    """Look at every row: images, texts, duplicates, leaks between splits. Exit code 2 where there are errors.

    Examples:

        texlens data validate my_rows

        texlens data validate linxy/LaTeX_OCR --subset small --json

        texlens data validate my_rows --fix -o clean --leaks to-train
    """
    from texlens.cli.progress import row_bar
    from texlens.core.errors import ConfigError
    from texlens.data.validate.findings import KINDS
    from texlens.data.validate.run import Options
    from texlens.data.validate.run import validate as run
    from texlens.models.families import SPECIAL_TOKENS

    if fix != (out is not None):
        raise ConfigError("--fix writes a new folder: give both --fix and -o NEW")
    unknown = next((kind for kind in drop or () if kind not in KINDS), None)
    if unknown:
        raise ConfigError(f"--drop {unknown}: no such kind; use one of {', '.join(KINDS)}")
    messages = message_console()
    splits = open_splits(source, subset=subset, format=format, allow_outside=allow_outside, edits=edits)
    options = Options(
        geometry_for(family, min_pixels, max_pixels),
        context=context,
        special_tokens=SPECIAL_TOKENS,
        latex=None if task == "auto" else task == "latex",
        render=not no_render,
    )
    with row_bar(messages, "validating", sum(map(len, splits.values()))) as advance:
        validation = run(splits, options, on_progress=advance)
    if validation.fault:
        messages.print(validation.fault, style="yellow", markup=False)
    report = validation.to_json() | {"ignored_files": ignored_files(splits)}
    if fix and out is not None:
        report["fixed"] = _write_fixed(messages, source, splits, validation, options, out, leaks, drop or [], overwrite)
    if as_json:
        print_json(report)
    else:
        from texlens.data.validate.summary import print_fix_statistics, show_validation

        show_validation(result_console(), validation, shown=None if all_findings else SHOWN)
        print_ignored(splits, result_console())
        if "fixed" in report:
            print_fix_statistics(result_console(), report["fixed"], out)
    if not fix and validation.of_severity("error"):
        raise typer.Exit(2)


def _write_fixed(messages, source, splits, validation, options, out, leaks, drop, overwrite) -> dict:
    from texlens.cli.progress import row_bar
    from texlens.data.validate.fix import plan_actions, write_fixed

    actions = plan_actions(validation, leaks=leaks, drop=drop)
    decided = sorted(f"{split} {row} {action.action} {action.split}" for (split, row), action in actions.items())
    made_by = {
        "command": "validate --fix",
        "source": source,
        "fingerprints": {split: rows.fingerprint for split, rows in splits.items()},
        "actions": hashlib.sha256("\n".join(decided).encode()).hexdigest(),
    }
    with row_bar(messages, "writing", sum(map(len, splits.values()))) as advance:
        fixed = write_fixed(
            out,
            splits,
            actions,
            made_by=made_by | {"leaks": leaks, "drop": list(drop)},
            max_aspect=options.geometry.max_aspect,
            overwrite=overwrite,
            on_progress=advance,
        )
    return fixed.to_json() | {"folder": str(out)}

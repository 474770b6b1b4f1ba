"""`texlens data inspect`"""

from pathlib import Path
from typing import Annotated

import typer

from texlens.cli.data.opening import FamilyOption, geometry_for, open_splits
from texlens.cli.shared import Json, message_console, print_json, result_console


def inspect(
    source: Annotated[str, typer.Argument(metavar="DIR|ID|FILE", help="A folder, a file or a hub's id.")],
    report: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the report as one HTML file.")] = None,
    samples: Annotated[int, typer.Option(min=0, max=2_000, help="Rows in the report's gallery.")] = 24,
    seed: Annotated[int, typer.Option(help="Draws the gallery's rows.")] = 0,
    family: FamilyOption = "qwen3-vl",
    min_pixels: Annotated[int | None, typer.Option(min=1, help="The budget's floor; default: the family's.")] = None,
    max_pixels: Annotated[int | None, typer.Option(min=1, help="The budget's ceiling; default: the family's.")] = None,
    context: Annotated[int, typer.Option(min=1, help="Tokens that a row may have.")] = 32_768,
    subset: Annotated[str | None, typer.Option(help="The data set's configuration, such as small.")] = None,
    format: Annotated[str, typer.Option(help="How rows are read; auto looks at the files.")] = "auto",
    no_render: Annotated[bool, typer.Option("--no-render", help="Parse labels, but don't lay them out.")] = False,
    allow_outside: Annotated[bool, typer.Option(help="Let data files name images outside their folder.")] = False,
    augment: Annotated[
        bool, typer.Option("--augment", help="Show in the report what augmentation makes of some rows.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show what a data set holds: sizes, lengths, findings, leaks, vocabulary, resolution, samples.

    Examples:

        texlens data inspect my_rows --report report.html
        texlens data inspect my_rows --report report.html --augment
    """
    from texlens.cli.progress import row_bar
    from texlens.core.errors import ConfigError
    from texlens.data.report.content import inspect as look
    from texlens.data.validate.run import Options
    from texlens.models.families import SPECIAL_TOKENS

    if augment and report is None:
        raise ConfigError("--augment shows pictures in the report; add --report FILE.html")
    geometry = geometry_for(family, min_pixels, max_pixels)
    splits = open_splits(source, subset=subset, format=format, allow_outside=allow_outside)
    options = Options(geometry, context=context, special_tokens=SPECIAL_TOKENS, render=not no_render)
    messages = message_console()
    with row_bar(messages, "inspecting", sum(map(len, splits.values()))) as advance:
        inspection = look(splits, options, samples=samples, seed=seed, on_progress=advance)
    if report is not None:
        from texlens.data.report.write import write_data_report

        title = f"{Path(source).name or source}{f', {subset}' if subset else ''}"
        command = f"texlens data inspect {source}{f' --subset {subset}' if subset else ''} --family {family}"
        sections = []
        if augment:
            from texlens.augment import FormulaTransform, PhotoTransform
            from texlens.augment.preview import augment_section

            transform = FormulaTransform() if inspection.validation.latex else PhotoTransform()
            sections.append(augment_section(splits, transform, seed=seed))
        write_data_report(report, inspection, splits, title=title, family=family, command=command, sections=sections)
    if as_json:
        print_json({"report": str(report) if report else None, **inspection.to_json()})
        return
    from texlens.data.resolution_view import show_plan
    from texlens.data.validate.summary import show_validation

    show_validation(result_console(), inspection.validation, shown=1)
    if inspection.plan is not None:
        result_console().print()
        show_plan(result_console(), inspection.plan, family)
    if report is not None:
        result_console().print(str(report), markup=False)

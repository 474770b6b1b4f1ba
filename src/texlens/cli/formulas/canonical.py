"""`texlens canonical`"""

from typing import Annotated

import typer

from texlens.cli.shared import Json, print_json, visible


def canonical(
    formula: Annotated[str, typer.Argument(metavar="FORMULA", help="LaTeX math; - reads it from standard input.")],
    as_json: Json = False,
) -> None:
    r"""Print a formula's canonical form, which is equal for all sources that are drawn alike, and its tokens.

    For a formula that can't be parsed, print its tokens; the reason goes to standard error, and the exit code is 2.

    Examples:

        texlens canonical '\frac12 x^{2}'

        texlens canonical --json 'a \over b'
    """
    from texlens.latex.canonical.form import canonical as form_of

    form = form_of(typer.get_text_stream("stdin").read() if formula == "-" else formula)
    if as_json:
        problem = form.problem and {"message": str(form.problem), "position": form.problem.position}
        print_json({"canonical": form.text, "tokens": list(form.tokens), "problem": problem})
    else:
        typer.echo(visible(form.text))
        typer.echo(visible(f"{len(form.tokens)} tokens: {'|'.join(form.tokens)}"))
    if form.problem:
        raise form.problem

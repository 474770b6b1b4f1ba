"""What a model is named as on the command line, and what a bare base is asked."""

from pathlib import Path

from texlens.config.data import DataSettings
from texlens.core.errors import RunError
from texlens.core.run_folder import list_runs

QUESTION: str = DataSettings.model_fields["prompt"].default
MAX_NEW_TOKENS = 512


def refuse_missing_run(model: str) -> None:
    """
    Raises:
        RunError: no such path, but runs beside where it would be: a misspelt run rather than a hub id.
    """
    if not Path(model).exists() and model != "nano" and (there := list_runs(Path(model).parent)):
        names = ", ".join(str(run.path) for run in there[-5:])
        raise RunError(f"{model}: no such run; there are {names}")

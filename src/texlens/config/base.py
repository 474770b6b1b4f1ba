"""What every branch of the run file shares: frozen, and an unknown key is an error."""

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """A frozen group of settings; docstrings under the fields become their help."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        protected_namespaces=(),
        serialize_by_alias=True,
        validate_by_name=False,
    )


def key_of(name: str, branch: type[BaseModel]) -> str:
    """What a field is called in run files; `from` can't be a field's name in Python."""
    return branch.model_fields[name].alias or name

"""TexLens: fine-tune Qwen vision-language models to read images into text, and measure what the tuning did.

    import texlens

    texlens.read("formula.png").text                     # the bundled model
    run = texlens.train("run.yaml", {"train.steps": 80})
    texlens.compare(run)

`read, load, train, evaluate, compare, score, export` are documented in docs/reference/python-api.md. Importing this
package is cheap: what they need is loaded when they are first used.
"""

from typing import TYPE_CHECKING, Any

from texlens.core.version import VERSION

if TYPE_CHECKING:
    from texlens.workflows.python_api import compare, evaluate, export, load, read, score, train

__version__ = VERSION
__all__ = ["__version__", "compare", "evaluate", "export", "load", "read", "score", "train"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'texlens' has no attribute {name!r}")
    from texlens.workflows import python_api

    return getattr(python_api, name)


def __dir__() -> list[str]:
    return __all__

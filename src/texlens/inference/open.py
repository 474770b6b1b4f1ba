"""`open_model`: the one way to open a model, whatever it is. No torch at import."""

from pathlib import Path
from typing import TYPE_CHECKING

from texlens.core.errors import ConfigError
from texlens.inference.model import LoadedModel

if TYPE_CHECKING:
    import torch

    from texlens.config.run import RunConfig
    from texlens.inference.opening.source import ModelSource
    from texlens.models.processor import Processor


def open_model(
    model: "str | Path | ModelSource" = "nano",
    *,
    backend: str = "auto",
    checkpoint: str | int | None = None,
    config: "RunConfig | None" = None,
    device: str | None = None,
    dtype: str | None = None,
    attention: str | None = None,
    trust_remote_code: bool = False,
) -> LoadedModel:
    """A model ready to read images, as it was trained to.

    Args:
        model: a run folder, one of its checkpoints, an adapter folder, a folder made by `texlens export`, a checkpoint
            folder, a hub id, `nano`, or what `source.resolve` returned for one of them.
        backend: `transformers`, `numpy` (the bundled model without torch), `llama.cpp`, `onnxruntime`, or `auto`:
            llama.cpp for GGUF exports, onnxruntime for ONNX exports, else transformers.
        checkpoint: of a run: `best` (the default), `latest` or a step.
        config: settings of a run, instead of those in its folder.
        device, dtype, attention: None leaves them to the run, or to what the machine has.
        trust_remote_code: run Python code that comes with the checkpoint. Only the caller can set it.

    Raises:
        ModelError: no such model, a damaged one, or an adapter that belongs to another base.
        RunError: a damaged run folder, a run that is not there, or no such checkpoint.
        ConfigError: no such backend, or a device or dtype that is impossible here.

    Example:
        open_model("runs/x").read([Sample("1", LazyImage.from_file(Path("formula.png")), "")])
    """
    if backend == "numpy" and model == "nano":
        return _open_nano()
    from texlens.inference.backend_registry import BACKENDS
    from texlens.inference.opening.source import OTHER_RUNTIMES, LoadOptions, ModelSource, resolve

    if backend != "auto" and backend not in BACKENDS:
        raise ConfigError(f"backend {backend!r} is not known; use auto or one of {', '.join(BACKENDS)}")
    source = model
    if not isinstance(source, ModelSource):
        options = LoadOptions(device, dtype, attention, trust_remote_code)
        source = resolve(source, checkpoint=checkpoint, config=config, options=options)
    if backend == "auto":
        backend = OTHER_RUNTIMES.get(source.kind, "transformers")
    return BACKENDS[backend](source)


def wrap_model(
    model: "torch.nn.Module", processor: "Processor", *, prompt: str, system: str | None = None, max_new_tokens: int
) -> LoadedModel:
    """A torch model that is already in memory, in the state it is in (in training, say), as a `LoadedModel`."""
    from texlens.inference.adapter_switch import AdapterSwitch
    from texlens.inference.backends.transformers import TransformersBackend
    from texlens.inputs.chat_template import PromptStyle

    backend = TransformersBackend(AdapterSwitch(model), processor)
    return LoadedModel(type(model).__name__, backend, PromptStyle(prompt, system), max_new_tokens)


def _open_nano() -> LoadedModel:
    """The bundled model in numpy: nothing that takes long to import."""
    from texlens.inference.backends.numpy.backend import open_numpy
    from texlens.models.bundled import NANO_FOLDER

    return open_numpy(NANO_FOLDER, "nano")

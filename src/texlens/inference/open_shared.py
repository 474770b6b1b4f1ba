"""Several models on one base in memory: a base and adapters on it, each with the prompt and pixels of its training."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from peft import PeftModel

from texlens.adapters.lora import load_adapter
from texlens.core.errors import ModelError
from texlens.inference.adapter_switch import FIRST_ADAPTER, AdapterSwitch
from texlens.inference.backends.transformers import TransformersBackend
from texlens.inference.model import LoadedModel
from texlens.inference.opening.compatibility import check_shared
from texlens.inference.opening.source import ModelSource, without_adapter
from texlens.models.build import build_model


def open_shared(sources: Sequence[ModelSource]) -> dict[str, LoadedModel]:
    """The models by name, in the order of the sources, then their base if it was not among them.

    A base that has the name of a run, as `nano` has of `runs/nano`, is called `nano-base`.

    Raises:
        ModelError: models that can't share a base, or two of one name.
    """
    check_shared(sources)
    first = sources[0]
    if first.kind == "full":
        return {
            first.name: _loaded(first, AdapterSwitch(build_model(first.base, first.settings, spread=True).eval()), None)
        }
    adapters = [source for source in sources if source.adapter is not None]
    base = next((source for source in sources if source.adapter is None), None) or without_adapter(first)
    if base.name in {source.name for source in adapters}:
        base = replace(base, name=f"{base.name}-base")
    ordered = [source if source.adapter is not None else base for source in sources]
    names = [source.name for source in [*adapters, base]]
    if len(set(names)) < len(names):
        raise ModelError(f"two models would be served as {max(names, key=names.count)!r}; rename a run folder")
    lead = adapters[0] if adapters else base
    _silence_packing_notices()
    model: Any = build_model(lead.base, lead.settings, lead.quantize, spread=True)
    peft_names = [f"run-{number}" if number else FIRST_ADAPTER for number in range(len(adapters))]
    for source, name in zip(adapters, peft_names, strict=True):
        model = _with_adapter(model, source, name)
    switch = AdapterSwitch(model.eval())
    adapter_of = dict(zip([source.name for source in adapters], peft_names, strict=True))
    everything = {source.name: source for source in [*ordered, base]}
    return {
        name: _loaded(source, switch, adapter_of.get(name), base.name if source.adapter is not None else None)
        for name, source in everything.items()
    }


def base_of(model: LoadedModel) -> LoadedModel:
    """The base under an adapter, read with the adapter's prompt and pixel budget, so that the two can be compared."""
    assert isinstance(model.backend, TransformersBackend)
    return replace(model, name=model.parent or model.name, backend=replace(model.backend, adapter=None), parent=None)


def _loaded(source: ModelSource, switch: AdapterSwitch, adapter: str | None, parent: str | None = None) -> LoadedModel:
    backend = TransformersBackend(switch, source.base.processor, adapter)
    return LoadedModel(
        source.name, backend, source.style, source.max_new_tokens, source.calibration, parent, source.preparation
    )


def _with_adapter(model: Any, source: ModelSource, name: str) -> Any:
    assert source.adapter is not None
    if not isinstance(model, PeftModel):
        return load_adapter(model, source.adapter, fingerprint=source.base.fingerprint)
    model.load_adapter(str(source.adapter), adapter_name=name)
    return model


def _silence_packing_notices() -> None:
    """compressed-tensors reports every checkpoint that it unpacks."""
    logging.getLogger("compressed_tensors").setLevel(logging.ERROR)

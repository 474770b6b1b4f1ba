"""Reading with an engine that is refilled, compared with fixed batches of the reference."""

from itertools import pairwise

import pytest

from tests.fixtures.tiny_models import tiny_model
from tests.unit.inference.engine.conftest import samples
from texlens.data.sample import LazyImage, Sample
from texlens.inference import decoders
from texlens.inference.adapter_switch import UNCHANGED, AdapterSwitch
from texlens.inference.backends.transformers import TransformersBackend
from texlens.inference.decoding.sampling import Sampling
from texlens.inference.engine.engine_batch import EngineBatch, open_engine
from texlens.inference.engine.plan import plan_for_rows
from texlens.inference.model import LoadedModel, in_order
from texlens.inputs.chat_template import PromptStyle

__all__ = ["samples"]
PLAN = plan_for_rows(3, 160)


def loaded(adapter=None):
    model, processor = tiny_model()
    return LoadedModel("tiny", TransformersBackend(AdapterSwitch(model), processor, adapter), PromptStyle("Read."), 9)


@pytest.fixture
def with_engine(monkeypatch):
    """The engine is used on the CPU too."""
    factories = {**decoders.DECODERS, "engine": lambda *model: open_engine(*model, PLAN)}
    monkeypatch.setattr(decoders, "DECODERS", factories)


@pytest.mark.parametrize("adapter", [None, UNCHANGED])
def test_predictions_equal_those_of_the_reference(adapter, samples, with_engine, monkeypatch):
    ours = loaded(adapter).read(samples)
    monkeypatch.setattr(decoders, "DECODERS", {"reference": decoders.DECODERS["reference"]})
    expected = loaded(adapter).read(samples)

    assert [row.text for row in ours] == [row.text for row in expected]
    assert [row.tokens for row in ours] == [row.tokens for row in expected]
    assert [row.log_probability for row in ours] == pytest.approx([row.log_probability for row in expected], abs=1e-4)


def test_an_unreadable_image_touches_no_other_row(samples, with_engine):
    broken = Sample("broken", LazyImage.from_bytes(b"no image", "broken.png"), "")
    rows = in_order(loaded().generate([samples[0], broken, *samples[1:]]), [samples[0], broken, *samples[1:]])

    assert rows[1].stop == "failed"
    assert "broken.png" in str(rows[1].error)
    assert [row.text for row in rows if row.id != "broken"] == [row.text for row in loaded().read(samples)]


def test_texts_are_reported_while_rows_run(samples, with_engine):
    heard: dict[str, str] = {}

    def on_token(sample_id, text):
        heard[sample_id] = heard.get(sample_id, "") + text

    rows = list(loaded().generate(samples, sampling=Sampling(9), on_token=on_token))
    assert {row.id: row.text for row in rows if row.text} == {key: text for key, text in heard.items() if text}


def test_a_stream_is_not_read_to_its_end_first(samples, with_engine, monkeypatch):
    monkeypatch.setattr(TransformersBackend, "reads_streams", True)
    monkeypatch.setattr("texlens.inference.backends.refilled.AHEAD", 2)
    taken = []

    def endless():
        number = 0
        while True:
            taken.append(number)
            yield Sample(str(number), samples[number % len(samples)].image, "")
            number += 1

    model = loaded()
    monkeypatch.setattr(
        "texlens.inference.engine.engine_batch.EngineBatch.wants_rows", property(lambda self: self.engine.waiting < 2)
    )
    stream = model.stream(endless())
    first = [next(stream) for _ in range(5)]

    assert len({row.id for row in first}) == 5
    assert len(taken) < 20


def test_rows_are_handed_over_while_the_next_step_is_under_way(samples, with_engine, monkeypatch):
    calls = []

    def noted(name):
        method = getattr(EngineBatch, name)

        def call(batch):
            calls.append(name)
            method(batch)

        monkeypatch.setattr(EngineBatch, name, call)

    noted("launch")
    noted("collect")
    for _row in loaded().generate(samples, sampling=Sampling(9)):
        calls.append("row")

    assert calls.count("row") == len(samples)
    assert {before for before, name in pairwise(calls) if name == "row"} == {"launch", "row"}

"""What every export format must have."""

import pytest

from texlens.core.errors import ConfigError
from texlens.exporting.formats.registry import FORMATS, find_format
from texlens.inference.backend_registry import BACKENDS
from texlens.models.export_manifest import OLD_READERS


def test_a_format_is_found_by_its_name():
    assert [find_format(name).name for name in FORMATS] == list(FORMATS)


def test_an_unknown_format_is_refused_with_the_known_ones_named():
    with pytest.raises(
        ConfigError, match=r"--format q3: not one of adapter, merged, merged-float16, nf4, int8, fp8, gptq, awq, gguf"
    ):
        find_format("q3")


@pytest.mark.parametrize("export_format", FORMATS.values(), ids=FORMATS)
def test_a_format_has_a_summary_and_a_tolerance(export_format):
    assert export_format.summary
    assert 0 < export_format.tolerance.kl_nats < 1
    assert 0 < export_format.tolerance.edit_similarity < 0.1
    doubled = export_format.tolerance.times(2)
    assert doubled.kl_nats == 2 * export_format.tolerance.kl_nats


@pytest.mark.parametrize("name", ["adapter", "merged", "nf4", "int8", "fp8", "gptq", "awq", "gguf"])
def test_readers_of_version_1_are_those_that_its_manifests_imply(name):
    assert find_format(name).reader == OLD_READERS.get(name, "transformers")


def test_every_reader_is_one_that_can_be_opened():
    assert {export_format.reader for export_format in FORMATS.values()} <= {"peft", *BACKENDS}


def test_the_calibrated_formats_are_gptq_and_awq():
    assert [name for name, export_format in FORMATS.items() if export_format.is_calibrated] == ["gptq", "awq"]

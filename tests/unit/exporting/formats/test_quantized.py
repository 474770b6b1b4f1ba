from dataclasses import replace

import pytest

from texlens.core.errors import ExportError
from texlens.exporting.formats.fp8 import FP8
from texlens.exporting.formats.int8 import INT8
from texlens.exporting.formats.merged import checkpoint_bytes
from texlens.models.export_manifest import ExportManifest

MANIFEST = ExportManifest("x", "b", "f", "a", "qwen3_vl", "r", 1, 2, "Read.", None, 8)


def test_both_checkpoints_must_fit_on_the_disk(job):
    assert checkpoint_bytes(job) < FP8.needed_bytes(job) < 2 * checkpoint_bytes(job)
    assert FP8.needed_bytes(replace(job, quantize_vision=True)) < FP8.needed_bytes(job)


def test_a_model_without_suitable_layers_is_refused(job):
    with pytest.raises(ExportError, match="no layer of this model is wide enough"):
        replace(FP8, input_multiple=1000).write(job)


def test_formats_that_other_servers_do_not_load_are_served_by_texlens(job):
    assert "vLLM" in {command.program for command in FP8.serving_commands(MANIFEST, job.folder, job.folder)}
    (command,) = INT8.serving_commands(MANIFEST, job.folder, job.folder)
    assert command.command == f"texlens serve {job.folder}"

from texlens.exporting.formats.merged import MERGED, checkpoint_bytes, via_merged


def test_a_merged_folder_has_the_base_s_size(job):
    notes = MERGED.write(job)
    assert notes["changed parameters"] > 0
    assert (job.folder / "model.safetensors").stat().st_size == checkpoint_bytes(job) == MERGED.needed_bytes(job)


def test_the_intermediate_checkpoint_is_deleted(job):
    def convert(merged):
        assert (merged / "model.safetensors").is_file()
        return {"x": 1}

    assert via_merged(job, convert) == {"x": 1}
    assert list(job.folder.iterdir()) == []

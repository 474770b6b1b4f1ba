"""`texlens read --processes N`: the images of one call divided among processes, one GPU each.

This process starts them and merges their parts; it loads no torch. A process reads the shard of its rank, also where
`torchrun` started it on one of several machines with `--shard`.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from texlens.core.errors import ConfigError, RunError
from texlens.core.own_process import module_command
from texlens.inference.bulk.shards import Shard, merge_parts

if TYPE_CHECKING:
    from texlens.cli.using.readings import NamedImage, ReadingSettings
    from texlens.inference.bulk.readings_file import ReadingsFile

PART = "TEXLENS_READ_PART"
"""Environment variable: set in a process that reads one part for the process that started it."""


def part_of_process(environment: Mapping[str, str] = os.environ) -> Shard | None:
    """The shard that this process reads for the one that started it, or None."""
    if PART not in environment:
        return None
    return Shard(int(environment["RANK"]) + 1, int(environment["WORLD_SIZE"]))


def read_in_processes(
    images: Sequence["NamedImage"], output: Path, processes: int, arguments: Sequence[str] | None = None
) -> bool:
    """Reads the images in so many processes, each of which runs this command; whether a text is incomplete.

    Args:
        arguments: of this command; None takes those that this process was started with.

    Raises:
        RunError: a process failed; what was read by then is in the output.
        DataError: an image could not be read, now or by an earlier call.
    """
    from texlens.cli.using.readings import write_with
    from texlens.training.distributed.launch import launch

    command = module_command("texlens", *(sys.argv[1:] if arguments is None else arguments))

    def read(missing: "list[NamedImage]", file: "ReadingsFile") -> None:
        os.environ[PART] = "1"
        try:
            code = launch(command, processes)
        finally:
            del os.environ[PART]
            merge_parts(file)
        lacking = [image.name for image in missing if image.name not in file.rows]
        if code or lacking:
            raise RunError(
                f"a reading process ended with exit code {code} (see above) and {len(lacking)} images are left; "
                "run the same command again to read them"
            )

    return write_with(images, output, read)


def read_part(
    images: Sequence["NamedImage"], output: Path, shard: Shard, settings: "ReadingSettings", *, bundled: bool
) -> None:
    """In a process that was started: its shard's images that the output lacks, into its part, on its own GPU.

    Args:
        bundled: the bundled model reads, which needs no GPU.

    Raises:
        ConfigError: there are fewer GPUs than processes.
    """
    from texlens.cli.using.readings import write_part
    from texlens.inference.bulk.shards import names_in
    from texlens.training.distributed.launch import end_with_launcher

    end_with_launcher()
    if not bundled:
        _take_gpu(int(os.environ.get("LOCAL_RANK", "0")))
    done = names_in(output)
    write_part([image for image in images if image.name not in done], output, shard, settings)


def _take_gpu(local_rank: int) -> None:
    import torch

    count = torch.cuda.device_count()
    if count and local_rank >= count:
        raise ConfigError(
            f"--processes: this machine has {count} GPU{'s' if count > 1 else ''}; use one process for each"
        )
    if count:
        torch.cuda.set_device(local_rank)

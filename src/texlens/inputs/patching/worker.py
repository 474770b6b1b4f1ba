"""A process that decodes images and cuts them into raw patches: `python -m texlens.inputs.patching.worker`.

It says that it is ready with an empty frame, then answers each image (`frames` has the form) until standard input ends.
"""

import sys
from typing import Any

import numpy as np

from texlens.core.errors import DataError
from texlens.data.geometry import ImageGeometry
from texlens.data.lazy_image import LazyImage
from texlens.inputs.image_patches import image_to_raw_patches
from texlens.inputs.patching.frames import read_frame, write_frame


def main() -> None:
    """Answer until standard input ends."""
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    write_frame(sink, {}, b"")
    while True:
        try:
            header, data = read_frame(source)
        except EOFError:
            return
        write_frame(sink, *answer(header, data))


def answer(header: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes | memoryview]:
    """The patches' grid and shape with their bytes, or the kind and message of an error."""
    image = LazyImage(lambda: data, header["where"], max_pixels=header["max_pixels"])
    try:
        patches, grid = image_to_raw_patches(image.load(), ImageGeometry(**header["geometry"]))
    except DataError as error:
        return {"error": str(error), "kind": error.kind}, b""
    return {"grid": grid, "shape": patches.shape}, np.ascontiguousarray(patches).data.cast("B")


if __name__ == "__main__":
    main()

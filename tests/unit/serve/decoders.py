"""Decoders of images."""

import sys

from texlens.serve.image_decoder import ImageDecoder


def decoder(*, timeout_s=20.0, processes=2, max_pixels=1_000_000, script=None):
    command = [sys.executable, "-c", script] if script else None
    return ImageDecoder(max_pixels=max_pixels, timeout_s=timeout_s, processes=processes, command=command)

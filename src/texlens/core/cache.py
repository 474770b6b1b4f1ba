"""Where files that can be computed again are stored between runs."""

import os
from pathlib import Path

from platformdirs import user_cache_path


def cache_folder() -> Path:
    """`TEXLENS_CACHE`, or `texlens` in the user's cache folder of this operating system."""
    chosen = os.environ.get("TEXLENS_CACHE")
    return Path(chosen) if chosen else user_cache_path("texlens", appauthor=False)

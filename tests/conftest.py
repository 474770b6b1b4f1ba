"""No test reads or leaves anything in the user's own caches, or is sent elsewhere by the user's environment."""

import os
import tempfile

from hypothesis import settings

_CACHES = tempfile.TemporaryDirectory(prefix="texlens-tests-")
"""Set before any test file is imported, since libraries read their environment once."""
for name in ("TEXLENS_CACHE", "HF_HOME", "MODELSCOPE_CACHE", "TORCHINDUCTOR_CACHE_DIR"):
    os.environ[name] = os.path.join(_CACHES.name, name.lower())
for name in ("HF_TOKEN", "HF_ENDPOINT", "MODELSCOPE_API_TOKEN"):
    os.environ.pop(name, None)

settings.register_profile("steady", derandomize=True)
settings.register_profile("explore", max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))
"""The same examples in every run, so that a change is judged by itself; HYPOTHESIS_PROFILE=explore draws new ones."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real data sets beside the repository, or in TEXLENS_SHARED_DATA."""
    folder = Path(os.environ.get("TEXLENS_SHARED_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("no shared data; set TEXLENS_SHARED_DATA to its folder")
    return folder

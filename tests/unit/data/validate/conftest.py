import pytest


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """No test reads what another found out, nor the user's cache."""
    monkeypatch.setenv("TEXLENS_CACHE", str(tmp_path / "cache"))

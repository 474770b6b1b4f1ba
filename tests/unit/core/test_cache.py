from pathlib import Path

from texlens.core.cache import cache_folder


def test_cache_is_where_the_variable_says(monkeypatch):
    monkeypatch.setenv("TEXLENS_CACHE", "/somewhere")
    assert cache_folder() == Path("/somewhere")


def test_cache_is_in_the_users_cache_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("TEXLENS_CACHE")
    monkeypatch.setattr("texlens.core.cache.user_cache_path", lambda name, appauthor: tmp_path / name)
    assert cache_folder() == tmp_path / "texlens"

import os

from texlens.core.dotenv import load_dotenv


def test_dotenv_fills_what_the_environment_lacks(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXLENS_A", "environment")
    monkeypatch.setenv("TEXLENS_B", "to be removed")
    monkeypatch.delenv("TEXLENS_B")
    (tmp_path / ".env").write_text("# keys\nTEXLENS_A=file\nexport TEXLENS_B='quoted'\nnot a line\n")
    assert load_dotenv(tmp_path / ".env") == ["TEXLENS_B"]
    assert (os.environ["TEXLENS_A"], os.environ["TEXLENS_B"]) == ("environment", "quoted")

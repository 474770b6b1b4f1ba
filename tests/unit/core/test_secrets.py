import os

from texlens.core.secrets import load_dotenv, without_secrets


def test_dotenv_fills_what_the_environment_lacks(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXLENS_A", "environment")
    monkeypatch.setenv("TEXLENS_B", "to be removed")
    monkeypatch.delenv("TEXLENS_B")
    (tmp_path / ".env").write_text("# keys\nTEXLENS_A=file\nexport TEXLENS_B='quoted'\nnot a line\n")
    assert load_dotenv(tmp_path / ".env") == ["TEXLENS_B"]
    assert (os.environ["TEXLENS_A"], os.environ["TEXLENS_B"]) == ("environment", "quoted")


def test_names_that_speak_of_keys_are_left_out():
    assert without_secrets({"SWANLAB_API_KEY": "x", "hf_token": "y", "HOME": "/"}) == {"HOME": "/"}

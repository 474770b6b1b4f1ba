import pytest

from texlens.core.errors import ConfigError
from texlens.workflows.push import public_base


def test_the_base_is_called_by_its_hub_id(tmp_path):
    assert public_base("Qwen/Qwen3-VL-4B-Instruct") == "Qwen/Qwen3-VL-4B-Instruct"
    assert public_base("/models/qwen3-vl-4b-instruct") == "Qwen/Qwen3-VL-4B-Instruct"
    assert public_base("nano") == "nano"
    with pytest.raises(ConfigError, match="name the base's hub id with --base"):
        public_base(str(tmp_path))

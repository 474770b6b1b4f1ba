import pytest

from texlens.core.errors import ExportError
from texlens.exporting.quantization.codec import require_package


def test_an_installed_package_gives_its_version():
    assert require_package("torch", "torch", "x")[0].isdigit()


def test_a_missing_package_is_named_with_the_command_that_installs_it():
    with pytest.raises(ExportError, match=r"--format nf4 needs the package absent; pip install 'texlens\[export\]'"):
        require_package("absent", "absent_module", "nf4")

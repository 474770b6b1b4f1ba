import pytest

from texlens.core.errors import RunError
from texlens.training.logging.run_log import RunLog


def test_a_message_is_one_line_with_its_time(tmp_path):
    log = RunLog(tmp_path / "log.txt")
    log.write("step 1\n\x1b[31mloss")
    log.write("done")
    first, second = (tmp_path / "log.txt").read_text().splitlines()
    assert first.endswith("+00:00  step 1 \\x1b[31mloss")
    assert second[:4].isdecimal()


def test_a_folder_that_is_gone_is_an_error(tmp_path):
    with pytest.raises(RunError, match="deleted or moved"):
        RunLog(tmp_path / "gone" / "log.txt").write("x")

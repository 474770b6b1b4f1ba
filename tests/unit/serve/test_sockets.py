import pytest

from texlens.core.errors import ConfigError
from texlens.serve.sockets import listening_socket, start_listening


def test_free_port_is_chosen_and_reported():
    with listening_socket("127.0.0.1", 0) as bound:
        host, port = start_listening(bound)
    assert host == "127.0.0.1"
    assert port > 0


def test_used_port_is_refused():
    with listening_socket("127.0.0.1", 0) as bound:
        _, port = start_listening(bound)
        with pytest.raises(ConfigError, match=f"127.0.0.1:{port}: can't listen there .*; choose another --port"):
            listening_socket("127.0.0.1", port)


def test_port_that_another_program_took_meanwhile_is_refused():
    with listening_socket("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with listening_socket("127.0.0.1", port) as second:
            start_listening(first)
            with pytest.raises(ConfigError, match="can't listen there"):
                start_listening(second)

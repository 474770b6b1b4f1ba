import http.server
import threading

from texlens.workflows.doctor import machine


def test_a_failing_import_is_reported_by_its_last_line():
    assert machine.import_error("raise ImportError('numpy.core.multiarray failed to import')") == (
        "ImportError: numpy.core.multiarray failed to import"
    )
    assert machine.import_error("pass") is None


def test_any_http_status_is_an_answer_and_no_connection_is_an_error():
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    threading.Thread(target=server.handle_request, daemon=True).start()
    assert machine.endpoint_error(f"http://127.0.0.1:{server.server_port}") is None
    server.server_close()
    assert machine.endpoint_error("http://127.0.0.1:1") is not None


def test_a_folder_below_a_file_can_t_be_written(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    assert machine.write_error(tmp_path / "new" / "runs") is None
    assert machine.write_error(file) is not None

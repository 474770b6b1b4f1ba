import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from texlens.core.errors import ModelError
from texlens.data.sample import LazyImage, Sample
from texlens.evaluation.systems.endpoint import EndpointSource, plain_latex
from texlens.inference.decoding.sampling import Sampling
from texlens.inputs.chat_template import PromptStyle
from texlens.latex.render.formats import render_png


class Server(BaseHTTPRequestHandler):
    """Answers with the prompt that it was asked; a request with a prompt "fail" gets status 500."""

    requests: list[dict] = []  # noqa: RUF012
    keys: list[str | None] = []  # noqa: RUF012

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._answer(200, {"data": [{"id": "qwen"}]})

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.requests.append(request)
        self.keys.append(self.headers.get("Authorization"))
        prompt = request["messages"][-1]["content"][-1]["text"]
        if prompt == "fail":
            self._answer(500, {"error": "broken"})
        else:
            reason = "length" if prompt == "long" else "stop"
            self._answer(200, {"choices": [{"message": {"content": "```latex\n$$x$$\n```"}, "finish_reason": reason}]})

    def _answer(self, status: int, value: dict) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def url() -> Iterator[str]:
    Server.requests, Server.keys = [], []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


def samples(*prompts: str | None) -> list[Sample]:
    image = LazyImage.from_bytes(render_png("x"), "x.png")
    return [Sample(str(number), image, "x", prompt) for number, prompt in enumerate(prompts)]


def test_images_prompts_and_settings_reach_the_server(url, monkeypatch):
    monkeypatch.setenv("TEXLENS_ENDPOINT_KEY", "secret")
    source = EndpointSource("qwen", url, PromptStyle("Read.", "You read."))
    predictions = list(source.open().generate(samples(None, "Own."), sampling=Sampling(9), seed=3))

    assert [(row.id, row.reference, row.text, row.stop) for row in predictions] == [
        ("0", "x", "x", "end"),
        ("1", "x", "x", "end"),
    ]
    first = Server.requests[0]
    assert (first["model"], first["max_tokens"], first["temperature"], first["seed"]) == ("qwen", 9, 0.0, 3)
    assert first["messages"][0] == {"role": "system", "content": "You read."}
    assert first["messages"][1]["content"][0]["image_url"]["url"].startswith("data:image/png;base64,")
    assert {request["messages"][1]["content"][1]["text"] for request in Server.requests} == {"Read.", "Own."}
    assert Server.keys == ["Bearer secret"] * 2


def test_a_request_that_fails_is_a_failed_row_and_a_cut_one_says_so(url):
    reader = EndpointSource("qwen", url, PromptStyle("Read.")).open()
    failed, cut = reader.generate(samples("fail", "long"))
    assert (failed.stop, cut.stop) == ("failed", "length")
    assert "500" in (failed.error or "")


def test_identity_names_server_and_model_and_no_key(url):
    identity = EndpointSource("q", url.replace("//", "//me:secret@") + "#other", PromptStyle("Read.")).identity()
    assert (identity["model"], identity["endpoint"]) == ("other", url)
    assert "secret" not in json.dumps(identity)


def test_a_server_that_does_not_answer_is_named_before_a_row_is_read():
    with pytest.raises(ModelError, match=r"http://127.0.0.1:1/v1: no model named .*; start it, or add #MODEL"):
        EndpointSource("q", "http://127.0.0.1:1/v1", PromptStyle("Read.")).identity()


@pytest.mark.parametrize(
    ("answer", "formula"),
    [
        ("x^2", "x^2"),
        (" $x$ ", "x"),
        ("$$x$$", "x"),
        (r"\[ x \]", "x"),
        (r"\( x \)", "x"),
        ("```latex\nx\n```", "x"),
        ("```\n$$x$$\n```", "x"),
        ("$a$ and $b$", "$a$ and $b$"),
    ],
)
def test_fences_and_dollars_around_a_formula_are_removed(answer, formula):
    assert plain_latex(answer) == formula

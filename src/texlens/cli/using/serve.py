"""`texlens serve`"""

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from texlens.cli.shared import message_console, visible
from texlens.cli.using.board import is_loopback
from texlens.core.errors import ConfigError


def serve(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL", help="Runs (or checkpoints of runs) on one base, an export, a checkpoint folder, or nano."
        ),
    ],
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    host: Annotated[
        str, typer.Option(help="127.0.0.1 is this machine only, 0.0.0.0 everyone who can connect to it.")
    ] = "127.0.0.1",
    api_key_env: Annotated[
        str | None, typer.Option(metavar="NAME", help="Environment variable that holds the key clients must send.")
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A name by which clients address the server, such as that of a proxy."),
    ] = None,
    allow_origin: Annotated[
        list[str] | None, typer.Option(metavar="URL", help="A web page's origin that may call, as https://example.org.")
    ] = None,
    engine: Annotated[Literal["transformers", "vllm"], typer.Option(help="What computes.")] = "transformers",
    vllm_python: Annotated[
        Path | None,
        typer.Option("--vllm-python", metavar="PATH", help="Python of another environment that has vLLM."),
    ] = None,
    checkpoint: Annotated[
        str | None, typer.Option(metavar="best|latest|N", help="Which checkpoint of the runs; default: best.")
    ] = None,
    allow_urls: Annotated[bool, typer.Option("--allow-urls", help="Fetch images from public addresses.")] = False,
    slots: Annotated[int, typer.Option(min=1, max=512, help="Readings in progress at once.")] = 32,
    max_queue: Annotated[int, typer.Option(min=1, help="Readings that may wait; beyond that 429.")] = 256,
    max_tokens: Annotated[int, typer.Option(min=1, help="Tokens that a request may ask for, and the default.")] = 2048,
    max_bytes: Annotated[int, typer.Option(min=1024, help="Largest body of a request.")] = 20_000_000,
    max_pixels: Annotated[int, typer.Option(min=1024, help="Largest image, width x height.")] = 40_000_000,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds an answer may take, the queue included.")] = 120.0,
    header_timeout: Annotated[float, typer.Option(min=0.1, help="Seconds a request's headers may take.")] = 10.0,
    body_timeout: Annotated[float, typer.Option(min=0.1, help="Seconds a request's body may take.")] = 30.0,
    decode_timeout: Annotated[float, typer.Option(min=0.1, help="Seconds an image may take to decode.")] = 10.0,
    drain: Annotated[float, typer.Option(min=0, help="Seconds that a stop waits for answers in progress.")] = 30.0,
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Run Python code that comes with the checkpoint.")
    ] = False,
) -> None:
    """Serve models by OpenAI's interface and by /v1/read, with continuous batching. See docs/reference/http-api.md.

    Examples:

        texlens serve runs/nano

        texlens serve runs/nano runs/nano-2 --port 8080

        texlens serve nano --host 0.0.0.0 --api-key-env TEXLENS_KEY
    """
    console = message_console()
    key = _key(api_key_env)
    if key is None and not is_loopback(host):
        console.print(f"anyone who can connect to {host} may use this server; --api-key-env NAME asks for a key")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    if vllm_python is not None and engine != "vllm":
        raise ConfigError("--vllm-python needs --engine vllm")
    if engine == "vllm":
        _with_vllm(models, host, port, key, checkpoint, vllm_python)
        return
    from texlens.serve.sockets import listening_socket, start_listening

    with listening_socket(host, port) as bound:
        from texlens.inference.scheduling.scheduler import open_scheduler
        from texlens.serve.app import create_app
        from texlens.serve.server import serve as answer
        from texlens.serve.settings import ServeSettings

        settings = ServeSettings(
            api_key=key,
            allow_urls=allow_urls,
            hosts=tuple(allow_host or ()),
            origins=tuple(allow_origin or ()),
            max_waiting=max_queue,
            max_body_bytes=max_bytes,
            max_image_pixels=max_pixels,
            max_tokens=max_tokens,
            header_timeout_s=header_timeout,
            body_timeout_s=body_timeout,
            decode_timeout_s=decode_timeout,
            timeout_s=timeout,
            drain_s=drain,
        )
        with open_scheduler(
            models,
            checkpoint=checkpoint,
            slots=slots,
            max_waiting=max_queue,
            trust_remote_code=trust_remote_code,
        ) as scheduler:
            app = create_app(scheduler, settings)
            _, bound_port = start_listening(bound)
            address = f"http://{host if ':' not in host else f'[{host}]'}:{bound_port}"
            console.print(f"serving {', '.join(scheduler.models)} at {address}/v1 (stop with Ctrl-C)", markup=False)
            answer(app, settings, bound)


def _key(name: str | None) -> str | None:
    """
    Raises:
        ConfigError: the variable is not set, or empty.
    """
    if name is None:
        return None
    if not os.environ.get(name):
        raise ConfigError(f"--api-key-env {name}: not set in the environment; put the key there")
    return os.environ[name]


def _with_vllm(
    models: list[str], host: str, port: int, key: str | None, checkpoint: str | None, python: Path | None
) -> None:
    from texlens.inference.vllm.command import as_shell, check_vllm_python, run_vllm, vllm_command

    if python is not None:
        check_vllm_python(python)
    command = vllm_command(models, host=host, port=port, checkpoint=checkpoint, python=python)
    if run_vllm(command, key) is None:
        message_console().print("vLLM is not installed here; where it is, this command serves the same:")
        print(visible(("VLLM_API_KEY=… " if key else "") + as_shell(command)))

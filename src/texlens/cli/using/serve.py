"""`texlens serve`"""

import ipaddress
import os
from typing import Annotated, Literal

import typer

from texlens.cli.shared import message_console


def serve(
    models: Annotated[
        list[str], typer.Argument(metavar="MODEL", help="Run folders on one base, a checkpoint folder, or nano.")
    ],
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    host: Annotated[str, typer.Option(help="127.0.0.1 is this machine alone, 0.0.0.0 everyone who reaches it.")] = (
        "127.0.0.1"
    ),
    api_key_env: Annotated[
        str | None, typer.Option(metavar="NAME", help="Environment variable that holds the key clients must send.")
    ] = None,
    engine: Annotated[Literal["transformers", "vllm"], typer.Option(help="What computes.")] = "transformers",
    allow_urls: Annotated[bool, typer.Option("--allow-urls", help="Fetch images from public addresses.")] = False,
    slots: Annotated[int, typer.Option(min=1, max=512, help="Readings under way at once.")] = 32,
    max_queue: Annotated[int, typer.Option(min=1, help="Readings that may wait; beyond that 429.")] = 256,
    max_tokens: Annotated[int, typer.Option(min=1, help="Most tokens a request may ask for.")] = 2048,
    max_bytes: Annotated[int, typer.Option(min=1024, help="Largest body of a request.")] = 20_000_000,
    max_pixels: Annotated[int, typer.Option(min=1024, help="Largest image, width x height.")] = 40_000_000,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds an answer may take, the queue included.")] = 120.0,
    body_timeout: Annotated[float, typer.Option(min=0.1, help="Seconds a request may take to arrive.")] = 30.0,
    drain: Annotated[float, typer.Option(min=0, help="Seconds that a stop waits for answers under way.")] = 30.0,
) -> None:
    """Serve models by OpenAI's interface and by /v1/read, with dynamic batching. See docs/reference/http-api.md.

    Examples:

        texlens serve runs/nano

        texlens serve runs/nano runs/nano-2 --port 8080

        texlens serve nano --host 0.0.0.0 --api-key-env TEXLENS_KEY
    """
    console = message_console()
    key = _key(api_key_env)
    if key is None and not _is_loopback(host):
        console.print(f"anybody who reaches {host} may use this server; --api-key-env NAME asks for a key")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    if engine == "vllm":
        _by_vllm(models, host, port, key)
        return
    from texlens.inference.batching import open_engine
    from texlens.serve.app import create_app
    from texlens.serve.server import listening_socket
    from texlens.serve.server import serve as answer
    from texlens.serve.settings import ServeSettings

    settings = ServeSettings(
        api_key=key,
        allow_urls=allow_urls,
        max_waiting=max_queue,
        max_body_bytes=max_bytes,
        max_image_pixels=max_pixels,
        max_tokens=max_tokens,
        body_timeout_s=body_timeout,
        timeout_s=timeout,
        drain_s=drain,
    )
    with listening_socket(host, port) as opened, open_engine(models, slots=slots, max_waiting=max_queue) as running:
        opened.listen()  # whoever reads the next line may ask at once
        address = f"http://{host if ':' not in host else f'[{host}]'}:{opened.getsockname()[1]}"
        console.print(f"serving {', '.join(running.models)} at {address}/v1 (stop with Ctrl-C)", markup=False)
        answer(create_app(running, settings), settings, opened)


def _key(name: str | None) -> str | None:
    """
    Raises:
        ConfigError: the variable is not set, or empty.
    """
    from texlens.core.errors import ConfigError

    if name is None:
        return None
    if not os.environ.get(name):
        raise ConfigError(f"--api-key-env {name}: not set in the environment; put the key there")
    return os.environ[name]


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _by_vllm(models: list[str], host: str, port: int, key: str | None) -> None:
    from texlens.inference.vllm.server import printed, run_vllm, vllm_command

    command = vllm_command(models, host=host, port=port)
    if run_vllm(command, key) is None:
        message_console().print("vLLM is not installed here; where it is, this command serves the same:")
        print(("VLLM_API_KEY=… " if key else "") + printed(command))

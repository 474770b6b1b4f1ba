"""`texlens board`"""

import ipaddress
import socket
import threading
from pathlib import Path
from typing import Annotated

import typer

from texlens.cli.shared import message_console


def board(
    folder: Annotated[Path, typer.Argument(metavar="[FOLDER]", help="The folder that holds run folders.")] = Path(
        "runs"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8422,
    host: Annotated[
        str, typer.Option(help="127.0.0.1 is this machine only; beyond it, reading needs the token too.")
    ] = "127.0.0.1",
    allow_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A name by which browsers address the board, such as that of a proxy."),
    ] = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the address.")] = False,
) -> None:
    """Open the workbench in the browser: start, watch and compare runs. Works offline; trainings outlive it.

    The printed address holds a token, without which nothing can be changed. See docs/how-to/board.md.

    Examples:

        texlens board

        texlens board experiments --port 9000 --no-browser
    """
    from texlens.serve.sockets import listening_socket, start_listening

    with listening_socket(host, port) as bound:
        from texlens.board.app import create_app
        from texlens.board.workspace import open_workspace
        from texlens.serve.server import serve
        from texlens.serve.settings import ServeSettings

        workspace = open_workspace(folder, read_token=not is_loopback(host))
        settings = ServeSettings(hosts=tuple(allow_host or ()), max_body_bytes=100_000_000, drain_s=3.0)
        app = create_app(workspace, settings)
        bound_host, bound_port = start_listening(bound)
        address = f"http://{_url_host(bound_host)}:{bound_port}/?token={workspace.token}"
        message_console().print(f"board of {folder} at {address} (stop with Ctrl-C)", markup=False, soft_wrap=True)
        if not no_browser:
            threading.Thread(target=_open, args=(address,), daemon=True).start()
        serve(app, settings, bound)


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect to the address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _url_host(host: str) -> str:
    """As a browser is given it: the machine's name where the server listens on all addresses."""
    if ipaddress.ip_address(host).is_unspecified:
        return socket.gethostname()
    return f"[{host}]" if ":" in host else host


def _open(address: str) -> None:
    import webbrowser

    webbrowser.open(address)

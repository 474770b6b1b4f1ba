"""`texlens ui`"""

import logging
import os
import threading
from typing import Annotated

import typer

from texlens.cli.shared import message_console

_HOST = "127.0.0.1"


def ui(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="A run, one of its checkpoints, an adapter, an export, a checkpoint folder, or nano."
        ),
    ] = "nano",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="0 takes a free one; the history in the browser belongs to a port.")
    ] = 8421,
    checkpoint: Annotated[
        str | None, typer.Option(metavar="best|latest|N", help="Which checkpoint of a run reads; default: best.")
    ] = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="Longest reading.")] = 2048,
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Run Python code that comes with the checkpoint.")
    ] = False,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the address.")] = False,
) -> None:
    """Open a web page on this machine: paste, drop, draw or photograph a formula, and see its LaTeX. Works offline.

    A run's adapter and its base can both be asked. Prompt, temperature and limits are in the page's settings.

    Examples:

        texlens ui

        texlens ui runs/nano --port 9000 --no-browser
    """
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    from texlens.serve.sockets import listening_socket, start_listening

    with listening_socket(_HOST, port) as bound:
        from texlens.inference.scheduling.scheduler import open_scheduler
        from texlens.serve.app import create_app
        from texlens.serve.server import serve
        from texlens.serve.settings import ServeSettings
        from texlens.serve.web_ui import add_page

        settings = ServeSettings(max_tokens=max_tokens)
        with open_scheduler([model], checkpoint=checkpoint, trust_remote_code=trust_remote_code) as scheduler:
            app = create_app(scheduler, settings)
            add_page(app)
            host, bound_port = start_listening(bound)
            address = f"http://{host}:{bound_port}/"
            names = ", ".join(scheduler.models)
            message_console().print(f"reading with {names} at {address} (stop with Ctrl-C)", markup=False)
            if not no_browser:
                threading.Thread(target=_open, args=(address,), daemon=True).start()
            # the access log of a page for one person is noise
            logging.getLogger("texlens.access").addHandler(logging.NullHandler())
            serve(app, settings, bound)


def _open(address: str) -> None:
    import webbrowser

    webbrowser.open(address)

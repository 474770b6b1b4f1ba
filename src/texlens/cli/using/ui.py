"""`texlens ui`"""

import logging
import os
import threading
from typing import Annotated

import typer

from texlens.cli.shared import message_console

_HOST = "127.0.0.1"


def ui(
    model: Annotated[str, typer.Argument(metavar="RUN", help="A run folder, a checkpoint folder, or nano.")] = "nano",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="0 takes a free one; the history in the browser belongs to a port.")
    ] = 8421,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the address.")] = False,
) -> None:
    """Open a web page on this machine: paste, drop, draw or snap a formula, and see its LaTeX. Works without a network.

    A run's adapter reads beside its base. See docs/how-to/web-page.md.

    Examples:

        texlens ui

        texlens ui runs/nano --port 9000 --no-browser
    """
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    from texlens.inference.batching import open_engine
    from texlens.serve.app import create_app
    from texlens.serve.server import listening_socket, serve
    from texlens.serve.settings import ServeSettings
    from texlens.serve.web_ui import add_page

    settings = ServeSettings()
    with listening_socket(_HOST, port) as opened, open_engine([model]) as engine:
        app = create_app(engine, settings)
        add_page(app)
        opened.listen()
        address = f"http://{_HOST}:{opened.getsockname()[1]}/"
        names = ", ".join(engine.models)
        message_console().print(f"reading with {names} at {address} (stop with Ctrl-C)", markup=False)
        if not no_browser:
            threading.Thread(target=_open, args=(address,), daemon=True).start()
        # whoever looks at the page needs no line for each of its files
        logging.getLogger("texlens.access").addHandler(logging.NullHandler())
        serve(app, settings, opened)


def _open(address: str) -> None:
    import webbrowser

    webbrowser.open(address)

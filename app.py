"""Starts the page: `python app.py [--checkpoint FOLDER_OR_ID]... [--host HOST] [--port PORT]`. No logic lives here."""

import argparse
import os
import socket
import sys
from importlib.util import find_spec


def main() -> None:
    """Load the checkpoints, build the page, serve it until interrupted."""
    parser = argparse.ArgumentParser(description="Type a prompt in the browser, get a picture.")
    source = (
        "folder, hub id or id@revision, or two as PRIOR+DECODER; several times: visitors choose; default: the embedded"
    )
    parser.add_argument("--checkpoint", action="append", default=[], help=source)
    parser.add_argument("--host", help="address to listen on, such as 0.0.0.0; default: this machine only")
    parser.add_argument("--port", type=int, help="default: the first free one from 7860")
    options = parser.parse_args()
    try:
        _check(options)
        # The networks' libraries take seconds to import, which --help and refusals need not wait for.
        from dalle2.serving.service import Service
        from demo import page

        service = Service.open(*options.checkpoint)
    except (ValueError, OSError) as error:
        sys.exit(f"app.py: {error}")
    blocks, looks = page.build(service)
    blocks.launch(server_name=options.host, server_port=options.port, prevent_thread_lock=True, quiet=True, **looks)
    print(f"Open {blocks.local_url} in your browser; Ctrl-C ends the page.", flush=True)
    blocks.block_thread()


def _check(options: argparse.Namespace) -> None:
    """ValueError for what would only fail once the checkpoints are loaded."""
    if os.environ.get("GRADIO_MCP_SERVER", "").lower() == "true" and not find_spec("mcp"):
        raise ValueError(
            "GRADIO_MCP_SERVER asks for tools of MCP, whose package is not installed: pip install 'gradio[mcp]', or "
            "unset the variable."
        )
    if options.port is None:
        return
    if not 1 <= options.port <= 65535:
        raise ValueError(f"A port is a number from 1 to 65535, not {options.port}.")
    host = options.host or os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1")
    try:
        with socket.create_server((host, options.port), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
            pass
    except OSError as error:
        reason = str(error.strerror or error).partition(" (")[0]
        raise ValueError(
            f"Port {options.port} of {host} cannot be used ({reason}): name another one with --port, or none for the "
            "first that is free."
        ) from error


if __name__ == "__main__":
    main()

"""Starts page and API: `python app.py [--checkpoint FOLDER_OR_ID]... [--host HOST] [--port PORT]`. No logic here."""

import argparse
import os
import sys
from importlib.util import find_spec
from pathlib import Path

from dalle2.serving import log
from dalle2.serving.api import options as serving


def main() -> None:
    """Load the checkpoints, build the page with the API beside it, serve both until interrupted."""
    about = "Type a prompt in the browser, get a picture; programs written for OpenAI's image API find it at /v1."
    parser = argparse.ArgumentParser(description=about)
    serving.add(parser)
    serving.add_picker(parser)
    serving.add_recogniser(parser)
    parser.add_argument("--port", type=int, help="default: the first free one from 7860")
    words = "ask people about the pairs of a study instead, without any checkpoint: see python -m evaluation.study"
    parser.add_argument("--study", type=Path, metavar="FOLDER", help=words)
    options = parser.parse_args()
    serving.share_cores()
    try:
        _check(options)
        if options.study is not None:
            from demo.study import server

            return server.serve(options.study, options.host, options.port, proxies=serving.proxies(options))
        shared = serving.shared(options)
        keys = serving.keys(options, options.host or os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1"), shared)
        recogniser = serving.recogniser(options)
        # The networks' libraries take seconds to import, which --help and refusals need not wait for.
        from dalle2.serving.api.routes import api
        from dalle2.serving.service import Service
        from dalle2.serving.warming import warming
        from demo import quick_gradio

        quick_gradio.install()
        from demo import page

        service = Service.open(*serving.sources(options), **serving.opening(options), lazy=True)
        picking = serving.picking(options)
        if picking != "off":
            service.offer_published()
        checks = f"{serving.guard(options, service)}\n{serving.keep_reports(options, service)}"
    except (ValueError, OSError) as error:
        sys.exit(f"app.py: {error}")
    log.begin()
    routes = api(service, keys, options.open_api, options.log_prompts, shared=shared)
    blocks, looks = page.build(service, routes, picking == "on", recogniser)
    where = {"server_name": options.host, "server_port": options.port, "proxies": serving.proxies(options)}
    blocks.launch(**where, prevent_thread_lock=True, quiet=True, **looks)
    print(f"Open {blocks.local_url} in your browser; Ctrl-C ends the page.", flush=True)
    print(f"Programs for OpenAI's image API: {serving.how_to_reach(keys, blocks.local_url)}", flush=True)
    print(checks, flush=True)
    with warming(service):
        blocks.block_thread()


def _check(options: argparse.Namespace) -> None:
    """ValueError for what would only fail once the checkpoints are loaded."""
    if os.environ.get("GRADIO_MCP_SERVER", "").lower() == "true" and not find_spec("mcp"):
        raise ValueError(
            "GRADIO_MCP_SERVER asks for tools of MCP, whose package is not installed: pip install 'gradio[mcp]', or "
            "unset the variable."
        )
    serving.check(options)


if __name__ == "__main__":
    main()

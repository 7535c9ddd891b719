"""Starts the page: `python app.py [--checkpoint FOLDER_OR_ID]... [--host HOST] [--port PORT]`. No logic lives here."""

import argparse
import sys

from demo import page
from demo.studio import Studio


def main() -> None:
    """Load the checkpoints, build the page, serve it until interrupted."""
    parser = argparse.ArgumentParser(description="Type a prompt in the browser, get a picture.")
    source = "folder, hub id or id@revision; several times: visitors choose; default: the embedded checkpoint"
    parser.add_argument("--checkpoint", action="append", default=[], help=source)
    parser.add_argument("--host", help="address to listen on, such as 0.0.0.0; default: this machine only")
    parser.add_argument("--port", type=int, help="default: the first free one from 7860")
    options = parser.parse_args()
    try:
        studio = Studio.open(*options.checkpoint)
    except (ValueError, OSError) as error:
        sys.exit(f"app.py: {error}")
    blocks, looks = page.build(studio)
    blocks.launch(server_name=options.host, server_port=options.port, **looks)


if __name__ == "__main__":
    main()

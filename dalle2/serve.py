"""`python -m dalle2 serve`: the HTTP API alone, without the page and without Gradio."""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from dalle2.serving import log
from dalle2.serving.api import options as serving

PORT = 8000
ENDING_SECONDS = 30  # in which the pictures that are being drawn get done


def main(arguments: Sequence[str] | None = None) -> int:
    """Load the checkpoints and serve the API until interrupted; the exit code is 0, or 1 after an error."""
    options = parser().parse_args(arguments)
    host = options.host or "127.0.0.1"
    serving.share_cores()
    try:
        serving.check(options)
        shared = serving.shared(options)
        keys = serving.keys(options, host, shared)
        if keys is not None and not keys.keys:
            raise ValueError(
                f"Beyond this machine ({host}) the API needs keys: make some with python -m dalle2 new-key and name "
                "their file with --api-keys, or let everybody draw with --open-api."
            )
        # The networks' libraries take seconds to import, which --help and refusals need not wait for.
        import uvicorn

        from dalle2.serving.api.alone import alone
        from dalle2.serving.api.connections import uvicorn_options
        from dalle2.serving.service import Service
        from dalle2.serving.warming import warming

        service = Service.open(*serving.sources(options), **serving.opening(options), lazy=True)
        checks = f"{serving.guard(options, service)}\n{serving.keep_reports(options, service)}"
    except ModuleNotFoundError as error:
        print(f"dalle2 serve: {error.name} is not installed: pip install 'open-dalle2[serve]'.", file=sys.stderr)
        return 1
    except (ValueError, OSError) as error:
        print(f"dalle2 serve: {error}", file=sys.stderr)
        return 1
    log.begin()
    app = alone(service, keys, options.open_api, options.log_prompts, shared)
    shown = "localhost" if serving.is_loopback(host) or host == "0.0.0.0" else host
    print(checks, file=sys.stderr)
    print(f"OPENAI_BASE_URL=http://{shown}:{options.port}/v1; Ctrl-C ends the API.", flush=True)
    with warming(service):
        uvicorn.run(
            app,
            host=host,
            port=options.port,
            timeout_graceful_shutdown=ENDING_SECONDS,
            log_level="warning",
            access_log=False,
            **uvicorn_options(serving.proxies(options)),
        )
    return 0


def parser() -> argparse.ArgumentParser:
    """Return what the options of serving may be."""
    parser = argparse.ArgumentParser(
        prog="python -m dalle2 serve", description="Serve OpenAI's image endpoints, and the other tasks, at /v1."
    )
    serving.add(parser)
    parser.add_argument("--port", type=int, default=PORT, help=f"default: {PORT}")
    return parser


def key_parser() -> argparse.ArgumentParser:
    """Return what the options of making a key may be."""
    from dalle2.serving.api import keys

    parser = argparse.ArgumentParser(
        prog="python -m dalle2 new-key",
        description="Make an API key and print it; the file keeps only its hash. A removed line takes the key back.",
    )
    parser.add_argument("name", help="whose it is, for the log")
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--api-keys", metavar="FILE", type=Path, help="the file, which may be new")
    place.add_argument("--database", metavar="URL", help="or the database that several servers share")
    each = "requests a minute; default: %(default)s"
    parser.add_argument("--requests-per-minute", type=int, default=keys.PER_MINUTE, help=each)
    parser.add_argument("--operator", action="store_true", help="let the key see the counts, at /v1/counts")
    parser.add_argument("--pictures", type=int, default=keys.PICTURES, help="at a time; default: %(default)s")
    return parser


def new_key(arguments: Sequence[str] | None = None) -> int:
    """Make an API key, add its hash to a file, and print it, once."""
    from dalle2.serving.api import keys

    options = key_parser().parse_args(arguments)
    try:
        shared = serving.shared(options)
        make = partial(keys.make, options.api_keys) if shared is None else shared.keys.make
        limits = (options.requests_per_minute, options.pictures)
        print(make(options.name, *limits, operator=options.operator))
    except (ValueError, OSError) as error:
        print(f"dalle2 new-key: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

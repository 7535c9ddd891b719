"""Drawings: Iconify's sets of SVG icons, which concept each one shows, and what it looks like in pixels."""

import importlib.util
import io
import json
import multiprocessing
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from typing import Any

from tqdm import tqdm

from dalle2.datasets.concepts import Concept, bare_code
from dalle2.datasets.packages import BuildError


@dataclass(frozen=True)
class IconSet:
    """One drawing style: its icons as Iconify packs them, and whom to thank."""

    style: str
    icons: Mapping[str, Any]  # icons.json
    codes: Mapping[str, str]  # chars.json: code points -> icon name; empty in the older packages
    info: Mapping[str, Any]  # info.json: name, author, license

    @property
    def licence(self) -> str:
        """Return the set's SPDX licence name."""
        return self.info["license"]["spdx"]

    def families(self) -> dict[str, list[str]]:
        """Return each distinct drawing's name with all its names, its own first; a mirrored alias is a drawing."""
        aliases = self.icons.get("aliases", {})
        families = {name: [name] for name in self.icons["icons"]}
        families |= {name: [name] for name, alias in aliases.items() if _turns(alias)}
        for name in aliases:
            drawing = name
            while drawing not in families:
                drawing = aliases[drawing]["parent"]
            if drawing != name:
                families[drawing].append(name)
        return families

    def svg(self, name: str) -> str:
        """Return the square SVG document of an icon or alias; a drawing that is not square is centred in it."""
        icon, turns = {"parent": name}, []
        while "parent" in icon:
            turns.append(icon)
            name = icon["parent"]
            icon = self.icons["icons"].get(name) or self.icons["aliases"][name]
        box = [icon.get(key, self.icons.get(key, other)) for key, other in _BOX.items()]
        body = icon["body"]
        middle = box[0] + box[2] / 2, box[1] + box[3] / 2
        for turn in reversed([turn for turn in turns if _turns(turn)]):
            scale = -1 if turn.get("hFlip") else 1, -1 if turn.get("vFlip") else 1
            move = (
                f"translate({middle[0]} {middle[1]}) rotate({90 * turn.get('rotate', 0)}) "
                f"scale({scale[0]} {scale[1]}) translate({-middle[0]} {-middle[1]})"
            )
            body = f'<g transform="{move}">{body}</g>'
        view = " ".join(map(str, box))
        namespaces = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
        side = max(box[2:])
        return f'<svg {namespaces} viewBox="{view}" width="{side}" height="{side}">{body}</svg>'


_BOX = {"left": 0, "top": 0, "width": 16, "height": 16}  # Iconify's defaults


def _turns(alias: Mapping[str, Any]) -> bool:
    return any(alias.get(key) for key in ("hFlip", "vFlip", "rotate"))


def read_icon_set(style: str, files: Mapping[str, bytes]) -> IconSet:
    """Read an Iconify package as an icon set."""
    codes = json.loads(files.get("chars.json", b"{}"))
    return IconSet(style, json.loads(files["icons.json"]), codes, json.loads(files["info.json"]))


def join(icon_sets: Sequence[IconSet], concepts: Mapping[str, Concept]) -> Iterator[tuple[IconSet, str, str]]:
    """(icon set, concept code, icon name) for every concept that a set draws, set by set.

    Packages that list code points are joined by them; the older ones know only names.
    """
    code_of_name = explain_names(icon_sets, concepts)
    for icon_set in icon_sets:
        drawn = {bare_code(code): name for code, name in reversed(list(icon_set.codes.items()))}
        if not drawn:
            for spelling in (str, _plain):  # all exact names before any loose one
                for drawing, names in icon_set.families().items():
                    known = [code for name in names if (code := code_of_name.get(spelling(name)))]
                    if known:
                        drawn.setdefault(known[0], drawing)
        for code in concepts:
            if code in drawn:
                yield icon_set, code, drawn[code]


def explain_names(icon_sets: Sequence[IconSet], concepts: Mapping[str, Concept]) -> dict[str, str]:
    """Icon name -> concept code, from the sets that list code points.

    The names of their icons count first, then the aliases: CLDR has renamed many an emoji. Then both in one word.
    """
    own_names, aliases = [], []
    for icon_set in icon_sets:
        family_of = {name: names for names in icon_set.families().values() for name in names}
        for code, name in icon_set.codes.items():
            if bare_code(code) in concepts:
                own_names.append((name, bare_code(code)))
                aliases += [(alias, bare_code(code)) for alias in family_of[name]]
    one_word = [(name.replace("-", ""), code) for name, code in own_names + aliases]
    code_of_name: dict[str, str] = {}
    for name, code in own_names + aliases + one_word:
        code_of_name.setdefault(name, code)
    return code_of_name


def _plain(name: str) -> str:
    """Return an icon's name without hyphens and without the number of a variant: alarm-clock-1 is alarmclock."""
    return re.sub(r"-\d$", "", name).replace("-", "")


# Pictures ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Drawing:
    """A rasterised icon."""

    png: bytes
    thumbnail: bytes  # 16 x 16 pixels, RGBA, colours multiplied by alpha: to compare drawings by


def rasterise(svg: str, size: int) -> Drawing:
    """Draw a square SVG document as size x size pixels with transparency.

    Raises:
        ValueError: resvg cannot draw it.
    """
    import resvg_py
    from PIL import Image

    # system fonts would make the result depend on the machine; the icons have no text
    png = resvg_py.svg_to_bytes(svg_string=svg, width=size, height=size, skip_system_fonts=True)
    with Image.open(io.BytesIO(png)) as picture:
        thumbnail = picture.convert("RGBa").resize((16, 16), Image.Resampling.BOX)
    return Drawing(png, thumbnail.tobytes())


def rasterise_all(svgs: Sequence[str], size: int) -> list[Drawing]:
    """Run ``rasterise`` on all cores, with a progress bar."""
    if importlib.util.find_spec("resvg_py") is None:
        raise BuildError("resvg-py is missing; install it with: pip install -r requirements-train.txt")
    # spawn: a forked child would inherit the locks of whatever threads the caller runs
    spawn, chunk = multiprocessing.get_context("spawn"), 16
    workers = min(os.cpu_count() or 1, -(-len(svgs) // chunk))
    with ProcessPoolExecutor(workers, mp_context=spawn) as pool:
        drawings = pool.map(partial(rasterise, size=size), svgs, chunksize=chunk)
        try:
            return list(tqdm(drawings, desc="drawing", total=len(svgs), unit="picture", smoothing=0.02))
        except ValueError as error:
            pool.shutdown(cancel_futures=True)
            raise BuildError(f"resvg cannot draw an icon at {size} pixels: {error}") from error
        except BrokenProcessPool as error:
            raise BuildError(
                "a drawing process was killed, probably for want of memory; free some and try again."
            ) from error


def copies(drawings: Sequence[Drawing]) -> set[int]:
    """Return which drawings are empty or look like an earlier one.

    Some sets have one drawing for two concepts (new moon and black circle), and a copy in the test split
    would be no test. The limit on the mean squared difference, 1e-5 on [0, 1], forgives rounding only.
    """
    import numpy

    looks = numpy.stack([numpy.frombuffer(d.thumbnail, numpy.uint8) for d in drawings]).astype(numpy.float32)
    looks /= 255
    energy = (looks**2).mean(axis=1)
    dropped = set(numpy.flatnonzero(energy == 0).tolist())
    for start in range(0, len(looks), 1024):
        block = slice(start, start + 1024)
        apart = energy[block, None] + energy - 2 / looks.shape[1] * looks[block] @ looks.T
        for later, earlier in numpy.argwhere(apart < 1e-5).tolist():
            if earlier < start + later and earlier not in dropped:
                dropped.add(start + later)
    return dropped

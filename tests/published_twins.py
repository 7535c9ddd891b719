"""A tiny random twin of every checkpoint that was published, in its published layout, by its published name."""

from pathlib import Path

import stable_twin
import tiny_eclipse
import tiny_kandinsky
from hub import Hub

from dalle2.families.published import published

KARLO = "kakaobrain/karlo-v1-alpha"
SOURCES = tuple(one.source for one in published() if one.source != "emoji")
# By which Stable unCLIP finds its prior: the twins' embeddings are of 32 numbers, as the small one's are of 768. None
# is known for the large one.
PARTNERS = {source: {} if source.endswith("-2-1-unclip") else {32: KARLO} for source in SOURCES}


def publish(hub: Hub, folder: Path, karlo_text: Path, karlo_variations: Path) -> None:
    """Put all of them onto a hub; their files lie in the folder."""
    hub.add(KARLO, karlo_text)
    hub.add(f"{KARLO}-image-variations", karlo_variations)
    stable = stable_twin.write(stable_twin.parts(), folder / "stable")
    for name in ("-unclip-small", "-unclip"):
        hub.add(f"stabilityai/stable-diffusion-2-1{name}", stable)
    for version, inpainting in (("2.2", False), ("2.2", True), ("2.1", False), ("2.1", True)):
        made = tiny_kandinsky.parts(inpainting, version=version)
        for one in tiny_kandinsky.twins(made, folder / f"{version}-{inpainting}"):
            hub.add(f"kandinsky-community/{one.name}", one)
    for name in ("KandinskyV22", "Karlo"):
        prior = tiny_eclipse.twin(tiny_eclipse.eclipse(), folder / name)
        hub.add(f"ECLIPSE-Community/ECLIPSE_{name}_Prior", prior)

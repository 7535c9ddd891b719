"""What the published COCO numbers were taken with, as far as is known, and the protocol that comes closest to them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """A figure from a paper or a model card, and how its protocol is known to differ from ours."""

    model: str
    fid: float
    differences: str


@dataclass(frozen=True)
class Protocol:
    """How many pictures, the side of the canonical form (short side, then centre crop), network and resizings."""

    pictures: int
    size: int
    resizes: tuple[str, ...]
    published: tuple[Published, ...]
    network: str = "inception"


PROTOCOLS = {
    "coco30k-256": Protocol(
        pictures=30_000,
        size=256,
        resizes=("clean", "legacy-tf"),
        published=(
            Published(
                "DALL·E 2 (arXiv 2204.06125)",
                10.39,
                "diffusion prior, zero-shot; the paper states neither the number of pictures nor the resizing",
            ),
            Published(
                "GLIDE (arXiv 2112.10741)",
                12.24,
                "guidance 1.5; 30,000 captions against the whole validation set; resizing not stated",
            ),
            Published(
                "Karlo v1 (kakaobrain/karlo)",
                14.43,
                "guidance 4 (prior) and 8 (decoder), 25 + 50 + 7 steps; resizing to 299 not stated",
            ),
            Published(
                "Kandinsky 2.1 (its model card)",
                8.21,
                "a fixed list of 30,000 captions; Pillow's bicubic to 299 rounded to 8 bits, statistics ready-made",
            ),
        ),
    )
}


def protocol_named(name: str) -> Protocol:
    """Raise ValueError for a name that is not among `PROTOCOLS`."""
    if name not in PROTOCOLS:
        raise ValueError(f"There is no protocol {name!r}: there is {', '.join(PROTOCOLS)}.")
    return PROTOCOLS[name]

"""Where a picture comes from, said in its file: IPTC's digital source type as XMP, and a signature by C2PA.

Both say that a trained model made it, or of a repainted picture a part of it. A command chooses once, when it starts;
what writes files asks here.
"""

import argparse
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from PIL import Image

# https://cv.iptc.org/newscodes/digitalsourcetype
SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
WHOLE, PART = "trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia"
REPAINTED = ("inpaint", "outpaint", "inpainting", "outpainting")  # tasks, also by their former names
XMP = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
    'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" Iptc4xmpExt:DigitalSourceType="{}"/>'
    '</rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
)

# (a file's content, its MIME type, its source type) -> the signed file's content
Sign = Callable[[bytes, str, str], bytes]


@dataclass(frozen=True)
class Provenance:
    """What files say of where they come from: with XMP or without, signed or not."""

    xmp: bool = True
    sign: Sign | None = None


_chosen = Provenance()


def choose(provenance: Provenance) -> None:
    """Let all files that this process writes from now on say so much."""
    global _chosen
    _chosen = provenance


def signing() -> bool:
    """Whether files are signed."""
    return _chosen.sign is not None


def xmp(record: str | None) -> str | None:
    """Return the XMP packet for a picture with this record; None without a record, and where it is left out."""
    return XMP.format(source_type(record)) if record and _chosen.xmp else None


def signed(content: bytes, kind: str, record: str | None) -> bytes:
    """Return the file signed; as it is where it has no record, or nothing is signed. `kind` is its MIME type.

    What is written into it afterwards breaks the signature.
    """
    return _chosen.sign(content, kind, source_type(record)) if record and _chosen.sign else content


def source_type(record: str | None) -> str:
    """Return the digital source type of what has this record."""
    try:
        task = json.loads(record or "").get("task")
    except (ValueError, AttributeError):
        task = None
    return SOURCE_TYPES + (PART if task in REPAINTED else WHOLE)


def signer(certificates: Path, key: Path) -> Sign:
    """Return what signs by C2PA with a PEM chain of certificates and its private key.

    ValueError, before anything is drawn, where they cannot sign; OSError where one cannot be read.
    """
    try:
        import c2pa
    except ModuleNotFoundError as error:
        raise ValueError("Signing needs the package c2pa-python: pip install 'open-dalle2[c2pa]'.") from error
    chain, secret = certificates.read_bytes(), key.read_bytes()
    info = c2pa.C2paSignerInfo(_algorithm(certificates, chain, key, secret), chain, secret, None)
    # Its thumbnail would be larger than the picture.
    settings = {"builder": {"thumbnail": {"enabled": False}}, "verify": {"verify_after_sign": False}}

    def sign(content: bytes, kind: str, source: str) -> bytes:
        # Neither signer nor context is kept, since several threads may sign at a time.
        made = io.BytesIO()
        with (
            c2pa.Signer.from_info(info) as one,
            c2pa.Context.from_dict(settings) as context,
            c2pa.Builder(_manifest(source), context) as builder,
        ):
            builder.sign(one, kind, io.BytesIO(content), made)
        return made.getvalue()

    try:
        sign(_sample(), "image/png", SOURCE_TYPES + WHOLE)
    except c2pa.C2paError as error:
        raise ValueError(f"C2PA does not sign with {certificates} and {key}: {error}") from error
    return sign


def _manifest(source: str) -> dict[str, Any]:
    """Return what is signed: that this program made it, and how."""
    try:
        program = {"name": "open-dalle2", "version": version("open-dalle2")}
    except PackageNotFoundError:
        program = {"name": "open-dalle2"}
    made = {"action": "c2pa.created", "digitalSourceType": source, "softwareAgent": program}
    actions = {"label": "c2pa.actions.v2", "data": {"actions": [made]}}
    return {"claim_generator_info": [program], "assertions": [actions]}


def _algorithm(certificates: Path, chain: bytes, key: Path, secret: bytes) -> str:
    """Return C2PA's name for how the key signs; ValueError where it cannot, or the certificate is another key's."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from cryptography.x509 import load_pem_x509_certificate

    try:
        private = load_pem_private_key(secret, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:  # TypeError: it has a password
        raise ValueError(f"{key} is not a private key in PEM without a password.") from error
    try:
        own = load_pem_x509_certificate(chain).public_key() == private.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError(f"{certificates} is not a chain of certificates in PEM.") from error
    if not own:
        raise ValueError(f"The first certificate of {certificates} is not that of the key {key}.")
    match private:
        case ec.EllipticCurvePrivateKey(curve=curve) if isinstance(curve, ec.SECP256R1 | ec.SECP384R1 | ec.SECP521R1):
            return {256: "es256", 384: "es384", 521: "es512"}[curve.key_size]
        case ed25519.Ed25519PrivateKey():
            return "ed25519"
        case rsa.RSAPrivateKey():
            return "ps256"
    raise ValueError(f"The key {key} must be of the kind P-256, P-384, P-521, Ed25519 or RSA.")


def _sample() -> bytes:
    """Return a picture to try a signature on."""
    file = io.BytesIO()
    Image.new("L", (1, 1)).save(file, "PNG")
    return file.getvalue()


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what the files that a command writes say of where they come from."""
    without = "write no XMP that says that a model made the picture"
    parser.add_argument("--no-provenance", action="store_true", help=without)
    pair = "sign pictures and films by C2PA: a PEM chain of certificates, and its private key"
    parser.add_argument("--c2pa", nargs=2, metavar=("CERT", "KEY"), help=pair)


def choose_options(options: argparse.Namespace) -> None:
    """`choose` by what was given; ValueError or OSError for a certificate and key that cannot sign."""
    sign = None if options.c2pa is None else signer(*map(Path, options.c2pa))
    choose(Provenance(not options.no_provenance, sign))

"""Files say that a model made them: in XMP, unless it is left out, and signed by C2PA where there is a certificate."""

import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from PIL import Image
from starlette.testclient import TestClient

from dalle2 import formats, images, provenance
from dalle2.__main__ import main
from dalle2.film import save_film
from dalle2.model import UnclipModel
from dalle2.provenance import SOURCE_TYPES, Provenance, choose, signer
from dalle2.serving.api.alone import alone
from dalle2.serving.service import Service
from demo import downloads
from demo.gradio_internals import Page
from demo.tab_builder import TabBuilder

WHOLE = f'DigitalSourceType="{SOURCE_TYPES}trainedAlgorithmicMedia"'.encode()
PART = f'DigitalSourceType="{SOURCE_TYPES}compositeWithTrainedAlgorithmicMedia"'.encode()


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    yield
    choose(Provenance())


def drawn(task: str = "text_to_image") -> Image.Image:
    picture = Image.effect_noise((32, 32), 80).convert("RGB")
    images.write_record(picture, {"task": task, "prompt": "a cat", "seed": 7})
    return picture


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_a_drawn_picture_says_that_a_model_made_it(kind: str) -> None:
    content = formats.encode(drawn(), kind)
    with Image.open(io.BytesIO(content)) as opened:
        assert WHOLE in opened.info["xmp"]
    for task in ("inpaint", "outpainting"):
        assert PART in formats.encode(drawn(task), kind)
    assert b"DigitalSourceType" not in formats.encode(Image.new("RGB", (4, 4)), kind)  # of which nothing is known
    choose(Provenance(xmp=False))
    assert b"DigitalSourceType" not in formats.encode(drawn(), kind)


def test_the_record_and_the_picture_are_what_they_were(tmp_path: Path) -> None:
    file = images.save(drawn(), tmp_path / "cat.png")
    drawn_again = images.open_with_record(file)
    assert WHOLE in file.read_bytes() and file.read_bytes() == images.to_png(drawn_again)
    assert images.read_record(file) == {"task": "text_to_image", "prompt": "a cat", "seed": 7}
    assert images.read_record(drawn_again) == images.read_record(file)


def test_the_command_line_leaves_it_out_where_asked(tiny_checkpoint: Path, tmp_path: Path) -> None:
    asked = ["a cat", "--draft", "--seed", "3", "--checkpoint", str(tiny_checkpoint), "-o"]
    assert main([*asked, str(tmp_path / "with.png")]) == 0
    assert main([*asked, str(tmp_path / "without.png"), "--no-provenance"]) == 0
    assert WHOLE in (tmp_path / "with.png").read_bytes()
    assert b"DigitalSourceType" not in (tmp_path / "without.png").read_bytes()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A chain of two certificates made here, which nobody trusts, and the key of the first."""
    pytest.importorskip("c2pa")
    from cryptography.hazmat.primitives.asymmetric import ec

    root, own = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    folder = tmp_path_factory.mktemp("certificates")
    (folder / "chain.pem").write_bytes(certificate("own", own, "root", root) + certificate("root", root, "root", root))
    for name, key in {"key": own, "other": root}.items():
        (folder / f"{name}.pem").write_bytes(pem(key))
    return folder / "chain.pem", folder / "key.pem"


def pem(key: object) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def certificate(name: str, key: object, issuer: str, issued_by: object) -> bytes:
    """As C2PA wants one: of an organisation, for signing, and with the keys' identifiers."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    def named(common: str) -> x509.Name:
        pairs = {NameOID.ORGANIZATION_NAME: "Tests", NameOID.COMMON_NAME: common}
        return x509.Name([x509.NameAttribute(kind, value) for kind, value in pairs.items()])

    root, now = name == issuer, datetime.now(UTC)
    uses = dict.fromkeys(
        (
            *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
            *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
        ),
        False,
    )
    uses |= {"key_cert_sign": True, "crl_sign": True} if root else {"digital_signature": True}
    identifiers = (
        x509.SubjectKeyIdentifier.from_public_key(key.public_key()),
        x509.AuthorityKeyIdentifier.from_issuer_public_key(issued_by.public_key()),
    )
    made = x509.CertificateBuilder(named(issuer), named(name), key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(now - timedelta(1)).not_valid_after(now + timedelta(1))
    made = made.add_extension(x509.BasicConstraints(root, None), True).add_extension(x509.KeyUsage(**uses), True)
    for identifier in identifiers:
        made = made.add_extension(identifier, False)
    if not root:
        made = made.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False)
    return made.sign(issued_by, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def check_signed(content: bytes, kind: str, source: str = "trainedAlgorithmicMedia") -> None:
    """C2PA's own reader finds the signature whole, and in it where the file comes from."""
    import c2pa

    with c2pa.Reader(kind, io.BytesIO(content)) as reader:
        found = json.loads(reader.json())
    assert found["validation_state"] == "Valid"
    assert [status["code"] for status in found["validation_status"]] == ["signingCredential.untrusted"]
    assertions = found["manifests"][found["active_manifest"]]["assertions"]
    (actions,) = (one for one in assertions if one["label"].startswith("c2pa.actions"))
    (made,) = actions["data"]["actions"]
    assert (made["action"], made["digitalSourceType"]) == ("c2pa.created", SOURCE_TYPES + source)


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_pictures_are_signed_last(kind: str, pair: tuple[Path, Path]) -> None:
    plain = formats.encode(drawn(), kind)
    choose(Provenance(sign=signer(*pair)))
    content = formats.encode(drawn(), kind)
    check_signed(content, f"image/{kind}")
    assert WHOLE in content and len(content) < len(plain) + 5000  # without a thumbnail
    check_signed(formats.encode(drawn("inpaint"), kind), f"image/{kind}", "compositeWithTrainedAlgorithmicMedia")
    if kind == "png":
        assert images.read_record(content)["seed"] == 7
    place = content.rindex(b"IDAT" if kind == "png" else WHOLE)
    with pytest.raises(AssertionError):
        check_signed(content[: place + 20] + b"?" + content[place + 21 :], f"image/{kind}")


@pytest.mark.parametrize("name, kind", [("film.gif", "image/gif"), ("film.mp4", "video/mp4")])
def test_films_are_signed(name: str, kind: str, pair: tuple[Path, Path], tmp_path: Path) -> None:
    choose(Provenance(sign=signer(*pair)))
    check_signed(save_film([drawn(), drawn()], tmp_path / name).read_bytes(), kind)


def test_the_api_hands_out_signed_files(model: UnclipModel, pair: tuple[Path, Path]) -> None:
    choose(Provenance(sign=signer(*pair)))
    with TestClient(alone(Service(model))) as client:
        answer = client.post("/v1/images/generations", json={"prompt": "a cat", "settings": "draft"}).json()
        check_signed(client.get(answer["data"][0]["url"]).content, "image/png")


@pytest.mark.parametrize("form, kind", [("png", "image/png"), ("512", "image/png"), ("gif", "image/gif")])
def test_the_page_hands_out_signed_files(
    form: str, kind: str, model: UnclipModel, pair: tuple[Path, Path], tmp_path: Path
) -> None:
    choose(Provenance(sign=signer(*pair)))
    images.save(model.text_to_image(["a cat"], seeds=[7])[0], tmp_path / "cat.png")
    with Page(analytics_enabled=False, delete_cache=(60, 60)) as page:
        download = downloads._downloading(TabBuilder(Service(model), page), str(tmp_path / "cache"))
    *_, (state, file) = download([str(tmp_path / "cat.png")] * (2 if form == "gif" else 1), form)
    assert state["state"] == "done"
    check_signed(Path(file).read_bytes(), kind)


def test_what_cannot_sign_is_told_before_anything_is_drawn(
    pair: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chain, key = pair
    other, nothing = key.with_name("other.pem"), tmp_path / "nothing.pem"
    nothing.write_text("nothing")
    for certificates, secret, sentence in (
        (chain, other, f"The first certificate of {chain} is not that of the key {other}."),
        (chain, nothing, f"{nothing} is not a private key in PEM without a password."),
        (nothing, key, f"{nothing} is not a chain of certificates in PEM."),
        (chain, tmp_path / "gone.pem", f"{tmp_path / 'gone.pem'}: No such file"),
    ):
        assert main(["a cat", "-o", str(tmp_path / "cat.png"), "--c2pa", str(certificates), str(secret)]) == 1
        assert sentence in capsys.readouterr().err
    assert not (tmp_path / "cat.png").exists() and not provenance.signing()

"""What must not become public: files that are keys by their names, and tokens and keys by how they are written.

Each kind of token is told by the beginning that its maker gave it so that it can be found: the lists of GitHub's secret
scanning and of Yelp's detect-secrets name them. Passwords without such a beginning cannot be told from other words.
"""

import fnmatch
import re
from collections.abc import Iterator
from pathlib import Path

READ, PIECE, OVERLAP = 16 * 2**20, 2**20, 512  # bytes of a file that are looked at, at once, and twice
# By name: private keys, stores of keys, and the files in which programs keep passwords and tokens.
NAMES = (
    *("*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.keystore", "*.ppk", "*.kdbx", "*.env", ".env.*", ".netrc"),
    *("_netrc", ".npmrc", ".pypirc", ".git-credentials", ".htpasswd", "id_rsa", "id_dsa", "id_ecdsa", "id_ed25519"),
    *("credentials", "credentials.json", "client_secret*.json", "secrets.toml", "stored_tokens", "kaggle.json"),
)
# What it is, how it may begin, and how it is written. The beginning is looked for first, which is fast in gigabytes.
WRITTEN = (
    ("a token of the Hub", b"hf_", rb"\bhf_[A-Za-z0-9]{30,}"),
    ("a key of a model's API", b"sk-", rb"\bsk-(?:proj-|svcacct-|admin-|or-v1-|ant-[a-z0-9]+-)?[A-Za-z0-9_]{20,}"),
    ("a token of GitHub", b"ghp_ gho_ ghu_ ghs_ ghr_", rb"\bgh[pousr]_[A-Za-z0-9]{36,}"),
    ("a fine-grained token of GitHub", b"github_pat_", rb"\bgithub_pat_[A-Za-z0-9_]{50,}"),
    ("a token of GitLab", b"glpat-", rb"\bglpat-[A-Za-z0-9_-]{20,}"),
    ("a key of AWS", b"AKIA ASIA", rb"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    ("a key of Google's", b"AIza", rb"\bAIza[A-Za-z0-9_-]{35}"),
    ("a token of Slack", b"xox", rb"\bxox[abeprs]-[A-Za-z0-9-]{20,}"),
    ("a token of PyPI", b"pypi-", rb"\bpypi-AgE[A-Za-z0-9_-]{50,}"),
    ("a token of npm", b"npm_", rb"\bnpm_[A-Za-z0-9]{36}"),
    ("a key of Stripe", b"k_live_", rb"\b[rs]k_live_[A-Za-z0-9]{20,}"),
    ("a private key", b"-----BEGIN", rb"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----"),
)


def secrets_in(file: Path) -> Iterator[str]:
    """Yield what a file holds that must not be public, each kind once: "a token of GitHub"; its own name is one too."""
    if any(fnmatch.fnmatchcase(file.name.casefold(), name) for name in NAMES):
        yield "a secret, by its name"
        return
    left, before = dict.fromkeys(kind for kind, _, _ in WRITTEN), b""
    with file.open("rb") as stream:
        while left and stream.tell() < READ and (read := stream.read(PIECE)):
            piece = before + read
            for kind, begins, written in WRITTEN:
                if kind in left and any(one in piece for one in begins.split()) and re.search(written, piece):
                    del left[kind]
                    yield kind
            before = piece[-OVERLAP:]

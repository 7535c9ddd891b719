"""The command line as manifests, reports and trackers tell it: as it was typed, with every secret hidden.

Whatever is told of a command is taken here, so that an API key, a URL's password or a token that somebody typed is not
published with a number.
"""

import re
import shlex
import sys
from collections.abc import Iterator, Sequence

HIDDEN = "***"
# Parts of names whose values nobody tells: --api-key, HF_TOKEN, ?X-Amz-Signature=. "tokenizer" is another word.
SECRETS = {"accesskey", "accesstoken", "apikey", "auth", "authorization", "credential", "credentials", "key", "pat"}
SECRETS |= {"passphrase", "passwd", "password", "secret", "secretkey", "sig", "signature", "token"}
_USER = re.compile(r"(?<=://)[^\s/?#]*@")
_ASSIGNED = re.compile(r"(?P<name>[A-Za-z][\w.-]*)(?P<between>=)(?P<value>[^\s&#;]+)")
_GIVEN = re.compile(r"(?P<name>--[A-Za-z][\w-]*)(?P<between>\s+|=)(?P<value>(?!--)\S+)")
_WORD = re.compile(r"(?P<name>-{0,2}[A-Za-z][\w.-]*)(?P<between>=)(?P<value>.+)", re.DOTALL)  # one word of the shell
_HEADER = re.compile(r"(?i)\b((?:proxy-)?authorization|(?:x-)?(?:api-?key|auth-token))(\s*:\s*)\S.*")
_SHAPES = re.compile(
    r"\b(?:(?:sk|pk|rk|glpat|xox[abprs])-[\w-]{12,}|(?:hf|gh[opsru]|github_pat)_\w{12,}|AKIA[0-9A-Z]{16}|AIza[\w-]{30,}"
    r"|eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]*|(?<=[Bb]earer )\S{8,})"
)


def command_line() -> str:
    """Return the command that this process was started with, secrets hidden."""
    return shlex.join(["python", *hidden_words(sys.orig_argv[1:])])


def hidden_words(words: Sequence[str]) -> Iterator[str]:
    """Yield the words of a command line without their secrets; the value may be the word after its option."""
    before = ""
    for word in words:
        secret = before.startswith("-") and "=" not in before and _is_secret(before) and not word.startswith("--")
        yield HIDDEN if secret else hidden(_WORD.sub(_without_value, word) if _WORD.fullmatch(word) else word)
        before = word


def hidden(text: str) -> str:
    """Return a text without the secrets in it: a URL's user and password, values of secret names, tokens by shape."""
    text = _USER.sub(f"{HIDDEN}@", text)
    for pattern in (_ASSIGNED, _GIVEN):
        text = pattern.sub(_without_value, text)
    text = _HEADER.sub(rf"\1\2{HIDDEN}", text)
    return _SHAPES.sub(HIDDEN, text)


def _without_value(found: re.Match[str]) -> str:
    return f"{found['name']}{found['between']}{HIDDEN}" if _is_secret(found["name"]) else found[0]


def _is_secret(name: str) -> bool:
    return not SECRETS.isdisjoint(re.split(r"[-_.]+", name.lower()))

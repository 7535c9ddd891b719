"""Large files of the hub: told of while they come, stopped at once, and gone on with where the last attempt ended.

`huggingface_hub` throws away what has come of a file when it is interrupted, and a checkpoint is a few files of
gigabytes. So these are written here, beside the hub's own copies and under the same locks, and as soon as one is whole
it stands where that library looks for it.
"""

import re
import shutil
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path

import httpx2
from filelock import Timeout
from huggingface_hub import constants, get_session, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.file_download import repo_folder_name
from huggingface_hub.utils import WeakFileLock, build_hf_headers, hf_raise_for_status
from tqdm import tqdm

from dalle2 import hashes

# Who wants to hear of downloads in this context, in the place of a bar in the terminal: the bytes that have come, and
# all that are wanted. What it raises ends the download; what has come is kept, and need not come again.
fetched: ContextVar[Callable[[int, int], None] | None] = ContextVar("fetched", default=None)

SILENCE_SECONDS = 10  # after which a connection counts as lost
ATTEMPTS = 4  # in a row that bring nothing, before a download is given up
PAUSE_SECONDS = 1.0  # before the second attempt, and twice as long before each further one
TICK_SECONDS = 0.5  # between two looks, while nothing comes, at whether anybody waits still
# After which another process that holds a file, and of which nothing comes, is not waited for any longer: its own
# attempts take less, and the sum over a file of 10 GB too.
HELD_SECONDS = 180

SHA256 = re.compile(r"[0-9a-f]{64}")
BUSY = (HTTPStatus.TOO_MANY_REQUESTS, *range(500, 600))  # answers after which asking again may help

Tell = Callable[[int], None]  # hears how many bytes have come


class NotDownloaded(ValueError):
    """A checkpoint could not be brought; the message is a sentence."""


class _Lost(Exception):
    """The hub cannot be reached any more."""


class _Damaged(Exception):
    """What came is not what the hub says that it has."""


@dataclass(frozen=True)
class LargeFile:
    """A file of a repository, its size in bytes, and the SHA-256 of what is in it, as the hub tells of them.

    NotDownloaded for a size or a hash that is none: the hash becomes a file's name here, and the hub may be another's.
    """

    name: str
    size: int
    sha256: str

    def __post_init__(self) -> None:
        if not (isinstance(self.sha256, str) and SHA256.fullmatch(self.sha256)) or not self.size > 0:
            raise NotDownloaded(
                f"The hub tells a size or a checksum of {self.name} that is none: nothing was downloaded."
            )


def bring(repo: str, commit: str, files: Sequence[LargeFile], place: str) -> None:
    """Put large files of a repository at this commit into the hub's cache, where they are not yet.

    `place` is what the checkpoint is called. NotDownloaded when the connection breaks off, when the files do not fit
    onto the disk, or when something else came; the hub's own errors where it refuses.
    """
    folder = repo_folder_name(repo_id=repo, repo_type="model")
    blobs, locks = (Path(constants.HF_HUB_CACHE, *names) for names in ((folder, "blobs"), (".locks", folder)))
    come = {file: file.size if _is_there(repo, commit, file, blobs) else _size(_part(blobs, file)) for file in files}
    missing, size = [file for file in files if not _is_there(repo, commit, file, blobs)], sum(f.size for f in files)
    if not missing:
        return
    for made in (blobs, locks):
        made.mkdir(parents=True, exist_ok=True)
    _check_disk(blobs, size - sum(come.values()), place)

    def note(file: LargeFile, now: int) -> None:
        come[file] = now
        tell(sum(come.values()))

    with _told(place, sum(come.values()), size) as tell:
        try:
            for file in missing:
                with _held(locks / f"{file.sha256}.lock", _part(blobs, file), place, partial(note, file)):
                    _bring(hf_hub_url(repo, file.name, revision=commit), file, blobs, partial(note, file))
        except _Lost as error:
            raise NotDownloaded(
                f"The download of {place} broke off at {sum(come.values()) / size:.0%}, because the Hugging Face hub "
                "cannot be reached any more. What has come is kept: try again, and it goes on from there."
            ) from error
        except _Damaged as error:
            raise NotDownloaded(
                f"What the Hugging Face hub sent of {place} is damaged, and was thrown away: try again."
            ) from error


@contextmanager
def _held(lock: Path, part: Path, place: str, tell: Tell) -> Generator[None]:
    """Hold a file's lock; while another process has it, tell how much that one has brought.

    NotDownloaded when nothing comes of it for HELD_SECONDS.
    """
    come, since = _size(part), time.monotonic()
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(WeakFileLock(lock, timeout=TICK_SECONDS))
                break
            except Timeout as error:
                if (now := _size(part)) != come:
                    come, since = now, time.monotonic()
                if time.monotonic() - since > HELD_SECONDS:
                    raise NotDownloaded(
                        f"Another program on this machine is downloading {place}, and nothing comes: stop that one, "
                        "then try again."
                    ) from error
            tell(come)
        yield


def _is_there(repo: str, commit: str, file: LargeFile, blobs: Path) -> bool:
    """Whether the hub's library has the file, as a blob or, on a system without links, as a copy."""
    return (blobs / file.sha256).exists() or isinstance(try_to_load_from_cache(repo, file.name, revision=commit), str)


def _part(blobs: Path, file: LargeFile) -> Path:
    return blobs / f"{file.sha256}.incomplete"


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _check_disk(folder: Path, needed: int, place: str) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise NotDownloaded(
            f"{place} takes {needed / 1e9:.1f} GB of the disk, and {free / 1e9:.1f} GB are free: make room, or let "
            "HF_HOME name a folder on another disk."
        )


@contextmanager
def _told(place: str, come: int, size: int) -> Generator[Tell]:
    """Give what tells the listener of this context, or else a bar in the terminal."""
    listener = fetched.get()
    if listener is not None:
        listener(come, size)
        yield lambda now: listener(now, size)
        return
    with tqdm(desc=f"Downloading {place}", initial=come, total=size, unit="B", unit_scale=True) as bar:
        yield lambda now: bar.update(now - bar.n) and None


def _bring(url: str, file: LargeFile, blobs: Path, tell: Tell) -> None:
    """Bring one file, by as many connections as it takes; the lock is held."""
    whole, part = blobs / file.sha256, _part(blobs, file)
    if whole.exists():  # brought by somebody else meanwhile
        return tell(file.size)
    failures = 0
    while (come := _size(part)) < file.size:
        tell(come)
        reason = _read_on(url, part, file.size, tell)
        failures = 0 if _size(part) > come else failures + 1
        if failures == ATTEMPTS:
            raise _Lost from reason
        if failures:
            _pause(PAUSE_SECONDS * 2 ** (failures - 1), lambda come=come: tell(come))
    if hashes.of_file(part) != file.sha256 or _size(part) != file.size:
        part.unlink()
        raise _Damaged
    part.replace(whole)


def _read_on(url: str, part: Path, size: int, tell: Tell) -> Exception | None:
    """Read to the file's end, or until the connection is lost or the server is too busy, and return which it was.

    Little more than `size` bytes are kept, whatever is sent.
    """
    come = _size(part)
    headers = build_hf_headers() | {"Accept-Encoding": "identity"} | ({"Range": f"bytes={come}-"} if come else {})
    try:
        with get_session().stream("GET", url, headers=headers, timeout=SILENCE_SECONDS) as answer:
            hf_raise_for_status(answer)
            with part.open("ab" if answer.status_code == HTTPStatus.PARTIAL_CONTENT else "wb") as stream:
                for bytes_ in answer.iter_bytes():
                    stream.write(bytes_)
                    if stream.tell() > size:  # which is not that file, and could fill the disk
                        break
                    tell(stream.tell())
    except httpx2.TransportError as error:
        return error
    except HfHubHTTPError as error:
        if error.response.status_code not in BUSY:
            raise
        return error
    return None


def _pause(seconds: float, look: Callable[[], None]) -> None:
    """Wait, and look again and again whether anybody waits still."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(left, TICK_SECONDS))
        look()

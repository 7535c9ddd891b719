"""What a checkpoint is called, and where it lies: a folder, or what the Hugging Face hub gives for an id.

A name is FOLDER_OR_ID, or PRIOR+DECODER where the two are published apart. An id may have a revision, id@revision. A
folder may also be one that the hub's library has made in its cache: of a repository, or of a commit of it.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from tqdm.asyncio import tqdm_asyncio

from dalle2.families.downloads import LargeFile, NotDownloaded, bring
from dalle2.families.single_file import describe_file
from dalle2.families.weights import choose_weights
from dalle2.understanding.vocabulary import VECTORS, WORDS

if TYPE_CHECKING:
    import torch  # seconds, for which those who draw nothing need not wait

LORA = ("pytorch_lora_weights", "adapter_model", "adapter_config")  # as diffusers and peft name them
MANY = 5  # files that are named of a repository that holds something else
SNAPSHOT = re.compile(r"\S*/models--[^/\s]+/snapshots/[0-9a-f]{40}/?")  # where the hub's library keeps a commit
# The same of a path, with the repository's name, and the commit where one is named.
CACHED = re.compile(r"models--(?P<owner>[\w.-]+?)--(?P<name>[\w.-]+?)(/snapshots/(?P<commit>[0-9a-f]{40}))?")
HUB_SECONDS = 10  # that the hub has to answer; it is asked once
HUB_ID = re.compile(r"(?P<repo>[\w-][\w.-]*/[\w.-]+)(@(?P<revision>[\w./-]+))?")


def split_name(name: str | Path) -> tuple[str | None, str]:
    """Return the places that a checkpoint's name consists of: the prior's, None unless it is named, and the decoder's.

    ValueError when neither half is a place. A folder whose own name has a "+" is one place.
    """
    name = str(name)
    if not name.strip():
        raise ValueError("The checkpoint's name is empty: give a folder, or the id of one on the hub.")
    if "+" not in name or _exists(Path(name).expanduser()):
        return None, name
    parts = name.split("+")
    halves = [("+".join(parts[:cut]), "+".join(parts[cut:])) for cut in range(1, len(parts))]
    for prior, decoder in halves:
        if _is_place(prior) and _is_place(decoder):
            return prior, decoder
    prior, decoder = halves[0]
    wrong = decoder if _is_place(prior) else prior
    raise ValueError(
        f"{name} should name a prior and a decoder, PRIOR+DECODER, each a folder or the id of a checkpoint on the hub: "
        f"{wrong!r} is neither."
    )


def public_name(name: str | Path) -> str:
    """Return a checkpoint's name without the paths of this machine: of its folders the last part alone.

    A folder of the hub's cache is called by what it is a copy of, the id, or id@commit.
    """
    prior, decoder = split_name(name)
    places = [decoder] if prior is None else [prior, decoder]
    paths = {place: Path(place).expanduser() for place in places}
    return "+".join(
        (hub_name(path) or path.resolve().name) if _exists(path) and path.is_dir() else place
        for place, path in paths.items()
    )


def hub_name(folder: Path) -> str | None:
    """Return what a folder of the hub's cache is a copy of, the id, or id@commit; None for any other folder."""
    path = folder.resolve().as_posix()
    match = CACHED.fullmatch(path[path.rfind("models--") :]) if "models--" in path else None
    if match is None:
        return None
    commit = match["commit"]
    return f"{match['owner']}/{match['name']}" + (f"@{commit}" if commit else "")


def beside(folder: Path, repo: str) -> Path | None:
    """Return the copy of a repository that lies beside a folder, under its own name or as in the hub's cache.

    None where there is none.
    """
    # As it was named, so that what it is called later is as short; and where a link leads.
    for path in (folder, folder.resolve()):
        near = path.parents[1] if path.parent.name == "snapshots" and hub_name(path) else path
        for name in (repo.rpartition("/")[2], f"models--{repo.replace('/', '--')}"):
            if (near.parent / name).is_dir():
                return near.parent / name
    return None


def partner(place: str | Path, folder: Path, repo: str) -> str:
    """Return the place of a repository that belongs to a checkpoint, which is called `place` and lies in `folder`.

    That is its id, but beside a folder that was named as such the copy that lies there, if one does.
    """
    copy = beside(folder, repo) if _exists(Path(place).expanduser()) else None
    return repo if copy is None else str(copy)


def public_sentence(sentence: str, name: str | Path) -> str:
    """Return what is said of a checkpoint without the paths of this machine, as `public_name` has its name."""
    for place in filter(None, split_name(name)):
        folder = Path(place).expanduser()
        if _exists(folder):
            sentence = sentence.replace(str(folder), hub_name(folder) or folder.resolve().name)
    return SNAPSHOT.sub("", sentence)


def locate(place: str | Path, dtype: torch.dtype, parts: Collection[str] | None = None) -> Path:
    """Return the folder of a checkpoint: `place` itself, or what the hub gives for an id or id@revision.

    Only the files that will be read are fetched, of these `parts` if they are given, and HF_HUB_OFFLINE is respected.
    ValueError if there is none.
    """
    path = Path(place).expanduser()
    if _exists(path):
        if path.is_dir():
            return _snapshot(path)
        raise ValueError(
            f"{place} is a file: give the folder of a checkpoint, or the id of one on the hub.{describe_file(path)}"
        )
    match = HUB_ID.fullmatch(str(place))
    if not match:
        raise ValueError(
            f"The checkpoint folder {place} does not exist, and it is not an id of the hub either, "
            "as kakaobrain/karlo-v1-alpha, or that with a revision, as kakaobrain/karlo-v1-alpha@main."
        )
    repo, revision = match["repo"], match["revision"]
    wanted = ["model_index.json"]  # of a copy, about whose other files nothing is known; a family says what it lacks
    try:
        info = HfApi().model_info(repo, revision=revision, timeout=HUB_SECONDS, files_metadata=True)
        files = {file.rfilename: file.lfs for file in info.siblings or []}
        wanted = _wanted(list(files), dtype, parts)
        if not wanted:
            raise NotDownloaded(_other(str(place), list(files)))
        large = [LargeFile(name, lfs.size, lfs.sha256) for name in wanted if (lfs := files[name])]
        bring(repo, str(info.sha), large, str(place))
        return Path(snapshot_download(repo, revision=revision, allow_patterns=wanted, tqdm_class=SilentBar))
    except InterruptedError as error:  # somebody does not want it any more
        raise ValueError(str(error)) from error
    except Exception as error:  # of a refusal, of no network, or of a disk
        try:
            return Path(snapshot_download(repo, revision=revision, allow_patterns=wanted, local_files_only=True))
        except Exception:
            raise ValueError(_why(error, str(place), repo, revision)) from error


def _snapshot(folder: Path) -> Path:
    """Return the folder itself, or of a repository in the hub's cache the commit that is its newest there."""
    snapshots = folder / "snapshots"
    if hub_name(folder) is None or not snapshots.is_dir():
        return folder
    main, copies = folder / "refs" / "main", sorted(one for one in snapshots.iterdir() if one.is_dir())
    if main.is_file() and (newest := snapshots / main.read_text(encoding="utf-8").strip()) in copies:
        return newest
    if len(copies) == 1:
        return copies[0]
    listed = ", ".join(copy.name for copy in copies) or "nothing"
    raise ValueError(f"{folder} is of the hub's cache, and has no main copy in snapshots: name one there, of {listed}.")


class SilentBar(tqdm_asyncio):
    """A bar that is not drawn: the small files come in a moment, and of the others ours has told."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options | {"disable": True})


def _exists(path: Path) -> bool:
    """Whether anything is there; a name that is too long for a file is none's."""
    try:
        return path.exists()
    except OSError:
        return False


def _why(error: Exception, place: str, repo: str, revision: str | None) -> str:
    """Say why the hub gave nothing, where there is no copy on this machine either."""
    match error:
        case NotDownloaded():
            return str(error)
        case GatedRepoError():
            return (
                f"The owners of {repo} give it to those who agree to its terms: do so at "
                f"https://huggingface.co/{repo}, then log in with `hf auth login`."
            )
        case RevisionNotFoundError():
            return f"{repo} has no revision {revision}: name a branch, a tag or a commit of it, or leave it out."
        case RepositoryNotFoundError():
            return (
                f"{place} is not a folder on this machine, and the Hugging Face hub has no such checkpoint, or it is "
                "private: check the name, or log in with `hf auth login`."
            )
        case HfHubHTTPError() | HFValidationError() | OSError(errno=int()):
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            return f"{place} could not be downloaded from the Hugging Face hub: {reason}"
    return (
        f"{place} is not on this machine, and the Hugging Face hub cannot be reached to download it: connect "
        "to the network, or give the folder of a copy."
    )


def _other(place: str, names: list[str]) -> str:
    """Return what a repository is, of whose files a checkpoint has none."""
    if any(name.startswith(LORA) for name in names):
        return f"{place} is a LoRA, which changes another checkpoint and cannot draw by itself: name that one."
    listed = ", ".join(sorted(names)[:MANY]) or "nothing"
    return f"{place} holds no checkpoint in diffusers' layout, in a folder for each of its parts: there is {listed}."


def _is_place(text: str) -> bool:
    path = Path(text).expanduser()
    return (bool(text) and _exists(path) and path.is_dir()) or HUB_ID.fullmatch(text) is not None


def _wanted(names: list[str], dtype: torch.dtype, parts: Collection[str] | None = None) -> list[str]:
    """Of a repository's files: the configs, vocabularies, and one set of weights for each part.

    Weights may also lie in the repository itself, as one network's do that is published alone.
    """
    files: dict[str, list[str]] = {}
    for name in names:
        part, _, file = name.rpartition("/")
        if "/" not in part and (not part or parts is None or part in parts):
            files.setdefault(part, []).append(file)
    wanted = []
    for part in sorted(files):
        texts = [file for file in files[part] if file.endswith((".json", ".txt"))]
        if not part and parts is None:  # what prompts are understood by
            texts += [file for file in files[part] if file in (WORDS, VECTORS)]
        chosen = texts + choose_weights(files[part], dtype)
        wanted += [f"{part}/{file}" if part else file for file in chosen]
    return wanted

"""A prepared folder, uploaded by huggingface_hub: one commit a repository, so that the Hub never has half of it."""

import json
import warnings
from collections.abc import Iterator
from pathlib import Path

import httpx2
from huggingface_hub import CommitOperationAdd, HfApi, SpaceHardware, get_token
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled, RepositoryNotFoundError

from dalle2 import atomic
from dalle2.publish.plan import RECORD, Plan

EMPTY = {".gitattributes"}  # what a new repository holds
MESSAGE = "Publish by Open DALL·E 2"
OFFLINE = "The Hub cannot be asked: HF_HUB_OFFLINE is set. Unset it to upload."


def check_token(name: str) -> None:
    """ValueError unless there is a token that may write to the repository's owner, as far as the Hub tells."""
    if get_token() is None:
        raise ValueError("There is no token of the Hub here: `hf auth login`, or set HF_TOKEN to one that may write.")
    try:
        account = HfApi().whoami()
    except OfflineModeIsEnabled as error:
        raise ValueError(OFFLINE) from error
    except HfHubHTTPError as error:
        if error.response.status_code in (401, 403):
            raise ValueError("The Hub does not know this token: make one at huggingface.co/settings/tokens.") from error
        raise ValueError(f"The Hub answers {error.response.status_code}: try again later.") from error
    except httpx2.HTTPError as error:
        raise ValueError(f"The Hub cannot be reached ({type(error).__name__}). Nothing was uploaded.") from error
    if ((account.get("auth") or {}).get("accessToken") or {}).get("role") == "read":
        raise ValueError("This token may only read: make one that may write, at huggingface.co/settings/tokens.")
    owner = name.partition("/")[0]
    owners = [account.get("name"), *(one.get("name") for one in account.get("orgs") or [])]
    if owner not in owners:
        raise ValueError(
            f"The token belongs to {account.get('name')}, who is not in {owner}: name a repository of yours."
        )


def push(plan: Plan, *, private: bool = False, update: bool = False) -> Iterator[str]:
    """Upload the model and, where there is one, its Space; yield the address of each.

    What went through is written down, so that the same command goes on where it was interrupted. ValueError says why
    the Hub did not take something; what is prepared stays.
    """
    check_token(plan.name)
    kinds = {"model": plan.model} | ({"space": plan.page} if plan.space else {})
    for kind, folder in kinds.items():
        uploaded = _uploaded(plan)
        try:
            if kind not in uploaded:
                _make(plan, kind, private, update)
                _write_uploaded(plan, [*uploaded, kind])
            commit = _commit(plan, kind, folder)
        except HfHubHTTPError as error:
            raise ValueError(_why(error, plan, kind)) from error
        except (httpx2.HTTPError, RuntimeError) as error:  # RuntimeError: what the library makes of a large file's
            raise ValueError(
                f"The upload of the {kind} broke off ({_cause(error)}). The Hub has no half of it, and {plan.out} has "
                f"all of it: python -m dalle2.publish --out {plan.out} --push {plan.name} goes on."
            ) from error
        yield f"{kind}: {commit}"


def _make(plan: Plan, kind: str, private: bool, update: bool) -> None:
    """Make the repository; ValueError where there is one with files, unless it is to be updated."""
    api, seen = HfApi(), private or None
    try:
        info = api.repo_info(plan.name, repo_type=kind)
    except RepositoryNotFoundError:
        if kind == "space":
            hardware = SpaceHardware(plan.hardware)
            api.create_repo(plan.name, repo_type=kind, private=seen, space_sdk="gradio", space_hardware=hardware)
        else:
            api.create_repo(plan.name, repo_type=kind, private=seen)
        return
    if private and info.private is False:
        raise ValueError(f"The {kind} {plan.name} exists already, and is public: make it private on the Hub first.")
    files = {file.rfilename for file in getattr(info, "siblings", None) or []}
    if files - EMPTY and not update:
        raise ValueError(f"The {kind} {plan.name} exists already, with {len(files)} files: add a commit by --update.")


def _commit(plan: Plan, kind: str, folder: Path) -> str:
    """Upload a folder's files in one commit, and return its address."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    additions = [CommitOperationAdd(str(file.relative_to(folder).as_posix()), str(file)) for file in files]
    with warnings.catch_warnings():  # the library advises against Parquet in a model: ours is a vocabulary
        warnings.simplefilter("ignore", UserWarning)
        return str(HfApi().create_commit(plan.name, additions, commit_message=MESSAGE, repo_type=kind).commit_url)


def _why(error: HfHubHTTPError, plan: Plan, kind: str) -> str:
    """Return in a sentence why the Hub refused."""
    status, said = error.response.status_code, (error.server_message or "").strip()
    match status:
        case 401 | 403:
            why = f"this token may not write to {plan.name}: make one that may, at huggingface.co/settings/tokens"
        case 402:
            why = "this hardware needs a subscription: choose another --hardware"
        case 413:
            why = "a file is too large"
        case 429:
            why = "too much was asked of it in a short time: try again in some minutes"
        case _ if status >= 500:
            why = "it has a fault of its own: try again later"
        case _:
            why = "it says why beside this"
    beside = f" It says: {said}" if said else ""
    return f"The Hub does not take the {kind} ({status}): {why}.{beside} {plan.out} holds all that was prepared."


def _cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return type(error).__name__


def _uploaded(plan: Plan) -> list[str]:
    """Return the kinds whose repository this folder has begun to fill."""
    return list(json.loads((plan.out / RECORD).read_text(encoding="utf-8"))["uploaded"])


def _write_uploaded(plan: Plan, kinds: list[str]) -> None:
    file = plan.out / RECORD
    record = json.loads(file.read_text(encoding="utf-8")) | {"uploaded": kinds}
    with atomic.file(file) as partial:
        partial.write_text(json.dumps(record, indent=1), encoding="utf-8")

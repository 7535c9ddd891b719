"""What is to be published: the options, which check themselves before anything is opened."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from dalle2 import atomic

HARDWARE = "zero-a10g"  # the Hub's name of ZeroGPU
RECORD = "publish.json"  # in the prepared folder: what it was prepared for, and what has been uploaded of it
# Of huggingface_hub's `validate_repo_id`, which is not imported here: it takes a second.
REPOSITORY = re.compile(r"(?!.*(--|\.\.))[A-Za-z0-9][\w.-]*/[A-Za-z0-9_][\w.-]*(?<![-.])(?<!\.git)")
LONGEST_NAME = 96


@dataclass(frozen=True)
class Plan:
    """A checkpoint and where it goes.

    Attributes:
        checkpoint: a folder, or "emoji".
        out: the folder that is prepared: `model` in it, and with `space` also `space`.
        name: of the repository on the Hub, OWNER/NAME; the Space has the same.
        hardware: what the Space suggests.
        title: of card and Space; "" for the repository's name.
        license: the Hub's id; "" for what the checkpoint's own card says.
        license_name, license_link: of a licence that has no id, where `license` is "other".
        prompts: of sample pictures; none for what the checkpoint draws well.
        results: YAML files that hold a `model-index`.

    Raises:
        ValueError: for a name that the Hub does not take, and files that are not there.
    """

    checkpoint: str
    out: Path
    name: str
    space: bool = False
    hardware: str = HARDWARE
    title: str = ""
    license: str = ""
    license_name: str = ""
    license_link: str = ""
    prompts: tuple[str, ...] = ()
    results: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        check_name(self.name)
        for file in self.results:
            if not file.is_file():
                raise ValueError(f"There are no results at {file}: `evaluation.fid --hub-results` writes them.")
        if not self.checkpoint:
            return
        if self.out.exists() and (not self.out.is_dir() or any(self.out.iterdir())):
            raise ValueError(
                f"{self.out} exists already: name another folder, or go on with it by leaving CHECKPOINT out."
            )
        atomic.check_folder(self.out)
        if self.checkpoint != "emoji" and not Path(self.checkpoint).expanduser().is_dir():
            raise ValueError(f"There is no folder {self.checkpoint}: publish a checkpoint of this machine.")

    @property
    def model(self) -> Path:
        """The folder that becomes the model repository."""
        return self.out / "model"

    @property
    def page(self) -> Path:
        """The folder that becomes the Space."""
        return self.out / "space"

    @property
    def shown(self) -> str:
        """What people read as its name."""
        return self.title or self.name.partition("/")[2]


def check_name(name: str) -> None:
    """ValueError unless the Hub takes it for a repository's name."""
    if len(name) > LONGEST_NAME or not REPOSITORY.fullmatch(name):
        raise ValueError(
            f"{name!r} is not a name of a repository: it is OWNER/NAME, of letters, digits, -, _ and ., at most "
            f"{LONGEST_NAME} characters, without -- and .., and neither begins nor ends with - or a dot."
        )


def read_plan(out: Path, name: str) -> Plan:
    """Return the plan of a folder that was prepared before; ValueError where it was not, or for another name."""
    check_name(name)
    file = out / RECORD
    if not file.is_file():
        raise ValueError(f"{out} was not prepared by this command: name a CHECKPOINT to prepare it from.")
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        former, space, hardware = str(record["name"]), bool(record["space"]), str(record["hardware"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{file} is damaged: prepare the folder again, under another name.") from error
    if former != name and not former.startswith("OWNER/"):
        raise ValueError(f"{out} was prepared for {former}, which its card names: push it there, or prepare it again.")
    return Plan("", out, name, space=space, hardware=hardware)

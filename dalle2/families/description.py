"""What a checkpoint says of itself in its dalle2.json; a published one has no such file, and says nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dalle2.settings import Settings

if TYPE_CHECKING:
    from dalle2.families.checkpoint_folder import CheckpointFolder

NAME = "dalle2.json"
# The last two are for those who train on.
KNOWN = ("settings", "styles", "examples", "subject", "recipe", "training")


@dataclass(frozen=True)
class Description:
    """Its default settings, the styles that it knows, prompts to begin with, and by language what alone it draws."""

    settings: Settings
    styles: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()
    subject: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: "CheckpointFolder", default: Settings) -> "Description":
        """Of a folder whose family has these default settings; ValueError says what is wrong in which file."""
        if not (folder.path / NAME).exists():
            return cls(default)
        values = folder.read_json(NAME)
        try:
            return cls.from_dict(values, default)
        except ValueError as error:
            raise ValueError(f"{folder.path / NAME}: {error}") from error

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], default: Settings) -> "Description":
        """ValueError for what is unknown, and for settings of other stages than the family's."""
        if unknown := sorted(set(values) - set(KNOWN)):
            raise ValueError(f"{unknown[0]!r} is unknown; known are {', '.join(KNOWN)}.")
        settings = Settings.from_dict(values["settings"]) if "settings" in values else default
        if list(settings.stages) != list(default.stages):
            raise ValueError(f"'settings' must be of the stages {', '.join(default.stages)}.")
        subject = values.get("subject", {})
        if not isinstance(subject, dict) or not all(isinstance(words, str) for words in subject.values()):
            raise ValueError('\'subject\' must be a table of languages, as {"en": "emoji"}.')
        return cls(settings, tuple(values.get("styles", ())), tuple(values.get("examples", ())), dict(subject))

    def to_dict(self) -> dict[str, Any]:
        """Return the inverse of `from_dict`."""
        values = {"settings": self.settings.to_dict(), "styles": self.styles, "examples": self.examples}
        return values | ({"subject": dict(self.subject)} if self.subject else {})

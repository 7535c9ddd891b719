"""How a task goes about it, as far as the service has to know before it runs."""

import dataclasses
from dataclasses import dataclass

from dalle2.settings import STAGE_KINDS, Settings, StageSettings


@dataclass(frozen=True)
class Manner:
    """How a task goes about it: which stages run, in this order, and what the settings are adapted to.

    `adapted` is "retracing", "rewording", "repainting" (see `Settings`) or "", which leaves them as the checkpoint has
    them. Tasks of one `kind` and manner take equally long.
    """

    stages: tuple[str, ...] = tuple(STAGE_KINDS)
    adapted: str = ""
    kind: str = ""

    def from_picture(self) -> "Manner":
        """The same where the content comes from a picture, so that the prior has nothing to do."""
        return dataclasses.replace(self, stages=tuple(name for name in self.stages if name != "prior"))

    def own(self, settings: Settings) -> Settings:
        """A checkpoint's settings as this task needs them."""
        match self.adapted:
            case "retracing":
                return settings.retracing()
            case "rewording":
                return settings.rewording()
            case "repainting":
                return settings.repainting()
        return settings

    def rows(self, settings: Settings) -> dict[str, StageSettings]:
        """Of these settings, those of the stages that run; the way back takes the decoder's steps."""
        stages = settings.stages
        rows = {name: stages.get("decoder" if name == "inversion" else name) for name in self.stages}
        return {name: stage for name, stage in rows.items() if stage is not None}


FREE = Manner()
FROM_PICTURE = FREE.from_picture()
RETRACING = Manner(("inversion", "decoder", "upsampler"), "retracing")
REWORDING = dataclasses.replace(RETRACING, adapted="rewording")
REPAINTING = Manner(adapted="repainting")
ENHANCING = Manner(("upsampler",))

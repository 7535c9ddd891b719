"""How a task goes about it, as far as the service has to know before it runs."""

import dataclasses
from dataclasses import dataclass

from dalle2.settings import STAGE_KINDS, Settings, StageSettings


@dataclass(frozen=True)
class Manner:
    """How a task goes about it: which stages run, in this order, and what the settings are adapted to.

    `adapted` is "retracing", "rewording", "repainting" (see `Settings`) or "", which leaves them as the checkpoint has
    them. Tasks of one `kind` and manner take equally long. With `one_by_one` the pictures are drawn one after another,
    not as a batch.
    """

    stages: tuple[str, ...] = tuple(STAGE_KINDS)
    adapted: str = ""
    kind: str = ""
    one_by_one: bool = False

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

    def steps(self, settings: Settings, pictures: int) -> tuple[tuple[str, int], ...]:
        """Each stage, and how many steps of it the task reports."""
        rows = {name: stage.num_inference_steps for name, stage in self.rows(settings).items()}
        if self.one_by_one:  # the way back is that of the one picture that all others come from
            many = {name: pictures * steps for name, steps in rows.items() if name != "inversion"}
            rows |= many | {name: pictures for name in rows if name == "prior"}
        return tuple(rows.items())


FREE = Manner()
FROM_PICTURE = FREE.from_picture()
RETRACING = Manner(("inversion", "decoder", "upsampler"), "retracing")
REWORDING = Manner(("inversion", "prior", "decoder", "upsampler"), "rewording", one_by_one=True)
REPAINTING = Manner(adapted="repainting")
ENHANCING = Manner(("upsampler",))

"""`UnclipModel`: what a checkpoint becomes when it is loaded. Its verbs are in `verbs`, its tasks in `tasks`."""

from dalle2.tasks import blending, captioning, drawing, editing, enlarging, explaining, redrawing
from dalle2.verbs import Seed, Verbs, generators

__all__ = ["Seed", "UnclipModel", "generators"]


class UnclipModel(Verbs):
    """A checkpoint, ready to draw; `dalle2.families.load` makes one. Each task is a method: the function named here."""

    text_to_image = drawing.text_to_image
    variations = drawing.variations
    reconstruct = drawing.reconstruct
    interpolate = blending.interpolate
    mix = blending.mix
    text_diff = blending.text_diff
    inpaint = editing.inpaint
    outpaint = editing.outpaint
    enhance = editing.enhance
    enlarge = enlarging.enlarge
    dimensions = explaining.dimensions
    steps = explaining.steps
    attention = explaining.attention
    caption = captioning.caption
    redraw = redrawing.redraw

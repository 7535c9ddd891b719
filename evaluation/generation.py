"""python -m evaluation.generation: prompts and a checkpoint -> a folder of pictures and its manifest.

    python -m evaluation.generation --prompts coco:COCO --num 30000 --checkpoint C --out pictures
    accelerate launch -m evaluation.generation …

The same command resumes an interrupted run.
"""

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from evaluation.cli import command
from evaluation.cli.generation import PROG, Options, parse

if TYPE_CHECKING:
    from evaluation.pictures.manifest import Manifest


def run(options: Options) -> "Manifest":
    """Draw what is missing of the folder; ValueError says what is wrong with the options."""
    from evaluation.drawing.generation import generate_folder  # torch, which --help need not wait for

    return generate_folder(options)


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw; 0 when all pictures are there, 2 after one sentence about why not, 130 when stopped."""
    options = parse(arguments)

    def work() -> None:
        manifest = run(options)
        if tells and options.turns is None:
            from evaluation.drawing.generation import guidance_of  # as above
            from evaluation.reporting import terminal

            words = f"{options.out}: {manifest.pictures:,} pictures of {manifest.prompts}, {guidance_of(manifest)}."
            terminal.tell(lambda console: console.print(words, markup=False, highlight=False, soft_wrap=True))

    # Every process finds the same fault, and one tells it; whoever gives the turns was stopped too, and says so.
    tells = int(os.environ.get("RANK", 0)) == 0
    return command.exit_code(PROG, work, resumes=True, tells=tells, tells_stop=options.turns is None)


if __name__ == "__main__":
    sys.exit(main())

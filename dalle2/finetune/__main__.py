"""`python -m dalle2.finetune FOLDER --name "my style"`: pictures in, a LoRA file out."""

import argparse
import shutil
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from dalle2.finetune.options import check, parse, run_folder

_BEGAN = time.monotonic()  # the libraries are loaded below: that is of --minutes too


def main(arguments: Sequence[str] | None = None) -> int:
    """Teach and write; 1 after an error, which is told in a sentence; 130 when it was stopped."""
    options = parse(arguments)
    try:
        check(options)
        _finetune(options, _BEGAN if arguments is None else time.monotonic())
    except (ValueError, OSError, FloatingPointError) as error:
        print(f"dalle2.finetune: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"dalle2.finetune: stopped; --resume continues from {run_folder(options.out)}.", file=sys.stderr)
        return 130
    return 0


def _finetune(options: argparse.Namespace, began: float) -> None:
    from dalle2.finetune.folder import Folder

    folder = Folder.read(options.folder)
    for sentence in folder.notes:
        print(sentence, flush=True)
    from dalle2.finetune.adapters import check_installed

    check_installed()
    from dalle2.finetune.captioning import captioned
    from dalle2.finetune.checkpoint import open_to_teach, precision
    from dalle2.finetune.run import Finetuning, Plan
    from dalle2.training.loop import Run
    from dalle2.training.processes import start

    accelerator = start(precision())
    model = open_to_teach(options.checkpoint, accelerator.device, options.name, options.allow_pickle)
    pictures, notes = captioned(folder.pictures, model, options.captioner)
    for sentence in notes:
        print(sentence, flush=True)
    plan = Plan(options.name, options.kind, options.steps, options.rank, options.own, seed=options.seed)
    run = Run(run_folder(options.out), options.seed, accelerator)
    until = None if options.minutes is None else began + 60 * options.minutes
    work = Finetuning(model, pictures, plan, run, until)
    work.check()
    print(f"{model.checkpoint} learns the {plan.kind} {plan.name!r} from {len(pictures)} pictures.", flush=True)
    tensors = work.train(work.own())
    about: dict[str, Any] = {"pictures": len(pictures), "steps": work.steps, "rank": plan.rank, "seed": plan.seed}
    about |= {"minutes": round((time.monotonic() - began) / 60, 1), "licence": options.licence or ""}
    # Of all threads: beside other work the clock tells more than the training takes.
    about["processor_minutes"] = round(time.process_time() / 60, 1)
    about["versions"] = {name: version(name) for name in ("torch", "peft", "diffusers", "transformers")}
    work.write(options.out, tensors, about)
    shutil.rmtree(run.folder, ignore_errors=True)
    _tell(options, about["minutes"], about["processor_minutes"])


def _tell(options: argparse.Namespace, minutes: float, processor: float) -> None:
    size = options.out.stat().st_size / 1e6
    example = f"a cat, {options.name}" if options.kind == "style" else options.name
    print(f"{options.out}: {size:.1f} MB, in {minutes:g} minutes, {processor:g} of processor time.")
    print(f'Draw with it: python -m dalle2 "{example}" --lora {options.out}', flush=True)


if __name__ == "__main__":
    sys.exit(main())

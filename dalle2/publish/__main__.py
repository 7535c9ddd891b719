"""python -m dalle2.publish CHECKPOINT --out FOLDER: prepare a repository for the Hugging Face Hub, check it, upload it.

    python -m dalle2.publish runs/mine/checkpoint --out hub --name someone/mine --license cc-by-4.0
    python -m dalle2.publish runs/mine/checkpoint --out hub --push someone/mine --space  # with a page of its own
    python -m dalle2.publish --out hub --push someone/mine                               # again, after an interruption

FOLDER/model gets weights, card, licence and sample pictures, FOLDER/space the page. Nothing is uploaded without --push.
The token is the one of `hf auth login`, or of the variable HF_TOKEN.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from dalle2.publish.plan import HARDWARE, Plan, read_plan


def main(arguments: Sequence[str] | None = None) -> int:
    """Prepare, check and upload; 1 after an error, which is told in a sentence."""
    options = _parser().parse_args(arguments)
    try:
        plan = _plan(options)
        # Libraries that take seconds, which --help and refusals need not wait for.
        from dalle2.publish import prepared, rules, upload

        if options.checkpoint is None:
            for line in prepared.refresh(plan):
                print(line)
        else:
            if options.push:
                upload.check_token(options.push)
            for line in prepared.prepare(plan):
                print(line)
        for line in rules.check(plan):
            print(line)
        if not options.push:
            print(f"Checked, and nothing uploaded: python -m dalle2.publish --out {plan.out} --push {plan.name}")
            return 0
        for line in upload.push(plan, private=options.private, update=options.update):
            print(line, flush=True)
    except (ValueError, OSError) as error:
        print(f"dalle2.publish: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("dalle2.publish: stopped. What was prepared is kept; the same command goes on.", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    about = "Prepare a repository for the Hugging Face Hub, check it, upload it."
    parser = argparse.ArgumentParser(prog="python -m dalle2.publish", description=about)
    help_text = "a folder, or emoji: the embedded one; leave it out to go on with a FOLDER that is prepared"
    parser.add_argument("checkpoint", nargs="?", metavar="CHECKPOINT", help=help_text)
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="what is prepared: a new folder")
    parser.add_argument("--name", metavar="OWNER/NAME", help="what the repository will be called; --push names it too")
    parser.add_argument("--push", metavar="OWNER/NAME", help="upload to this repository of the Hub")
    parser.add_argument("--private", action="store_true", help="with --push: a new repository that only you can see")
    parser.add_argument("--update", action="store_true", help="with --push: add a commit to a repository that is there")
    parser.add_argument("--space", action="store_true", help="a Space too: the page, which draws with this checkpoint")
    help_text = "what the Space asks for; default: %(default)s, which is ZeroGPU, free of charge"
    parser.add_argument("--hardware", default=HARDWARE, metavar="FLAVOUR", help=help_text)
    parser.add_argument("--title", default="", help="of the card and of the Space; default: the repository's name")
    help_text = "the Hub's id of the licence, as cc-by-4.0; default: what the checkpoint's card says"
    parser.add_argument("--license", default="", metavar="ID", help=help_text)
    parser.add_argument("--license-name", default="", metavar="NAME", help="with --license other: its name")
    parser.add_argument("--license-link", default="", metavar="LINK", help="with --license other: its address or file")
    help_text = "draw a sample picture of it; may be repeated. Default: what the checkpoint draws well"
    parser.add_argument("--prompt", action="append", default=[], metavar="TEXT", help=help_text)
    help_text = "results for the card, as `evaluation.fid --hub-results` writes them; may be repeated"
    parser.add_argument("--results", action="append", default=[], type=Path, metavar="FILE.yaml", help=help_text)
    return parser


def _plan(options: argparse.Namespace) -> Plan:
    """Return what is asked for; ValueError for what does not go together."""
    if options.checkpoint is None:
        if not options.push:
            raise ValueError("Name a CHECKPOINT to prepare, or with --push the repository that FOLDER is uploaded to.")
        return read_plan(options.out, options.push)
    if options.name and options.push and options.name != options.push:
        raise ValueError(f"--name {options.name} and --push {options.push} are two repositories: name one.")
    if (options.private or options.update) and not options.push:
        raise ValueError("--private and --update are about uploading: name the repository with --push.")
    checkpoint = options.checkpoint.rstrip("/")
    return Plan(
        checkpoint=checkpoint,
        out=options.out,
        name=options.push or options.name or f"OWNER/{Path(checkpoint).name}",
        space=options.space,
        hardware=options.hardware,
        title=options.title,
        license=options.license,
        license_name=options.license_name,
        license_link=options.license_link,
        prompts=tuple(options.prompt),
        results=tuple(options.results),
    )


if __name__ == "__main__":
    sys.exit(main())

"""An open DALL-E 2 (unCLIP, arXiv 2204.06125): the model. Import its rooms; this file imports none of them."""

from dalle2.cli import entry

if entry.is_command():
    entry.guard()

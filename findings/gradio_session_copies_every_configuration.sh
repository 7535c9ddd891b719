#!/usr/bin/env bash
# gradio 6.31.0: a page keeps a copy of every component's configuration for each visitor, whether or not it has links that
# need it (DeepLinkButton). It is made in the event loop at the visitor's first call. A good guess from the documentation is
# that a visitor without gr.State costs nothing; 340 components cost tens of milliseconds, during which nobody else is
# answered, and up to 10,000 sessions are kept.
#
# Seen: "340 components: 340 configurations for each of two visitors, who share none of them"
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/environment"
"$folder/environment/bin/pip" install -q gradio==6.31.0

"$folder/environment/bin/python" - <<'PYTHON'
import time

import gradio as gr
from gradio.routes import App

with gr.Blocks() as page:
    for number in range(339):
        gr.Textbox(label=f"Text {number}")
app = App.create_app(page)
begun = time.perf_counter()
jane, jim = (app.state_holder[name].config_values for name in ("jane", "jim"))
seconds = (time.perf_counter() - begun) / 2
shared = sum(jane[key] is jim[key] for key in jane)
print(f"{len(page.blocks)} components, {seconds * 1000:.0f} ms a visitor")
assert len(jane) == len(jim) >= 339 and shared == 0 and app.state_holder.capacity == 10_000
print(f"{len(page.blocks)} components: {len(jane)} configurations for each of two visitors, who share {shared or 'none'} of them")
PYTHON

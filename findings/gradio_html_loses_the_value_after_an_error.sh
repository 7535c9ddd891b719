#!/usr/bin/env bash
# gradio 6.31.0: where the html_template of a gr.HTML throws, as by a value without the name that it reads, "Error
# rendering HTML" is shown, and with the next value, which is a good one, nothing at all; only the one after that is
# drawn. A good guess is that each value is drawn by itself. So a template has to bear every value, the first one and
# null too. Needs a Chromium: CHROMIUM names one, or playwright install chromium.
#
# Seen: "an error, then a good value: nothing is shown; then another: drawn"
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/environment"
"$folder/environment/bin/pip" install -q gradio==6.31.0 playwright==1.65.2

"$folder/environment/bin/python" - <<'PYTHON'
import os

import gradio as gr
from playwright.sync_api import sync_playwright

TEMPLATE = "<p class='seen'>Hello ${value.name.toUpperCase()}</p>"
with gr.Blocks() as page:
    first = gr.HTML(None, html_template=TEMPLATE, elem_id="null_first")
    other = gr.HTML({"name": "Ann"}, html_template=TEMPLATE, elem_id="good_first")
    for name in ("Bob", "Cid"):
        gr.Button(name).click(lambda name=name: ({"name": name}, {"name": name}), None, [first, other])
_, address, _ = page.launch(prevent_thread_lock=True, quiet=True)

with sync_playwright() as driver:
    browser = driver.chromium.launch(executable_path=os.environ.get("CHROMIUM"), args=["--no-sandbox"])
    tab = browser.new_page()
    tab.goto(address)
    tab.locator("#good_first").get_by_text("Hello ANN").wait_for()
    broken = tab.locator("#null_first").inner_text()
    later = []
    for name in ("Bob", "Cid"):
        tab.get_by_role("button", name=name, exact=True).click()
        tab.locator("#good_first").get_by_text(f"Hello {name.upper()}").wait_for()
        tab.wait_for_timeout(1500)
        later.append(tab.locator("#null_first").inner_text())
    browser.close()
page.close()
print(broken, later)
assert "Error rendering HTML" in broken and later == ["", "Hello CID"]
print("an error, then a good value: nothing is shown; then another: drawn")
PYTHON

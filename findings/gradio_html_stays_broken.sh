#!/usr/bin/env bash
# gradio 6.31.0: a gr.HTML whose html_template throws once, as by a value that is still null, shows "Error rendering ..."
# from then on, whatever value it is given later. A good guess is that the next value is drawn with the same template, as
# a value is that comes first. So a template has to bear every value, the first one and null too. Needs a Chromium:
# CHROMIUM names one, or playwright install chromium.
#
# Seen: "first value null: broken, and broken still with a good one; first value good: drawn"
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/environment"
"$folder/environment/bin/pip" install -q gradio==6.31.0 playwright==1.65.2

"$folder/environment/bin/python" - <<'PYTHON'
import os

import gradio as gr
from playwright.sync_api import sync_playwright

TEMPLATE = "<p class='seen'>Hello ${value.name}</p>"
with gr.Blocks() as page:
    first = gr.HTML(None, html_template=TEMPLATE, elem_id="null_first")
    other = gr.HTML({"name": "Ann"}, html_template=TEMPLATE, elem_id="good_first")
    gr.Button("Go").click(lambda: ({"name": "Bob"}, {"name": "Bob"}), None, [first, other])
_, address, _ = page.launch(prevent_thread_lock=True, quiet=True)

with sync_playwright() as driver:
    browser = driver.chromium.launch(executable_path=os.environ.get("CHROMIUM"), args=["--no-sandbox"])
    tab = browser.new_page()
    tab.goto(address)
    tab.locator("#good_first").get_by_text("Hello Ann").wait_for()
    broken = tab.locator("#null_first").inner_text()
    tab.get_by_role("button", name="Go", exact=True).click()
    tab.locator("#good_first").get_by_text("Hello Bob").wait_for()
    tab.wait_for_timeout(2000)
    later = tab.locator("#null_first").inner_text()
    browser.close()
page.close()
print(f"before: {broken!r}; after: {later!r}")
assert "Error rendering" in broken and "Error rendering" in later and "Bob" not in later
print("first value null: broken, and broken still with a good one; first value good: drawn")
PYTHON

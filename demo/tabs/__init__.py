"""One file a tab, each with one function: `build(desk: Desk) -> None`. A task's tab is called as the task is.

It returns at once when no checkpoint can do the task (`desk.service.can(...)`), else opens `with desk.tab(name, en,
zh):` and lays itself out there. To add a tab, write such a file and put its name into `TABS` in `page.py`.

A task's tab looks like this:

    def build(desk):
        if not desk.service.can("variations"):
            return
        with desk.tab("variations", "Variations", "变体"), desk.task():
            with desk.asking():
                picture = OwnPicture(desk.say("Picture", "图片"))
                bench = desk.bench()                      # Draw, Stop and the progress line
            pictures = desk.pictures()
            with desk.options():
                count = desk.count()
                seed, random_seed = desk.seed()
                settings = desk.choices()
        desk.takes(Way("vary", "variations", Both("Vary", "变体"), [(picture, "image")]))

        def variations(picture: str, ..., checkpoint: str = first, request: gr.Request = None):
            \"\"\"The API's documentation.\"\"\"
            def ask():
                return Variations(open_picture(picture))  # Refusal or ValueError: a sentence, before anything is drawn

            order = Order(None if random_seed else seed, settings, checkpoint, count)
            yield from desk.draw(ask, order, Both("Variation", "变体"), request)

        desk.draws(bench, variations, [picture, ..., settings], [pictures, seed])

- Nothing may stand beside the tabs, not even a `gr.State`: Gradio counts it as a tab and mixes up the others.
- `desk.say(en, zh)` is for Gradio's labels and buttons; `Both(en, zh)` for templates and what the server says.
- `desk.reuses(task, tab, widgets)` makes "Reuse settings" below the task's own results and in the history.
- `desk.takes(Way(...))` makes a button below every result of every tab that brings it here.
- `desk.draw(ask, order, caption, request)` makes the request, waits for the turn, streams `Drawing`s and stops within
  a step when nobody listens; a tab draws through the service alone.
- `desk.choices(like=...)` takes a request of the tab's kind, whose pictures and words do not matter.
"""

"""One file a tab, each with one function: `build(builder: TabBuilder) -> None`. A task's tab is called as the task is.

It returns at once when no checkpoint can do the task (`builder.service.can(...)`), else opens `with
builder.tab(name, en, zh):` and lays itself out there. To add a tab, write such a file and put its name into `TABS` in
`page.py`.

A task's tab looks like this:

    def build(builder):
        if not builder.service.can("variations"):
            return
        with builder.tab("variations", "Variations", "变体"), builder.task():
            with builder.asking():
                picture = OwnPicture(builder.say("Picture", "图片"))
                controls = builder.controls()                      # Draw, Stop and the progress line
            pictures = builder.pictures()
            with builder.options():
                count = builder.count()
                seed, random_seed = builder.seed()
                settings = builder.choices()
        builder.add_destination(Destination("vary", "variations", Bilingual("Vary", "变体"), [(picture, "image")]))

        def variations(picture: str, ..., checkpoint: str = first, request: gr.Request = None):
            \"\"\"The API's documentation.\"\"\"
            def ask():
                return Variations(open_picture(picture))  # or a Refusal: a sentence, before anything is drawn

            order = Order(None if random_seed else seed, settings, checkpoint, count)
            yield from builder.draw(ask, order, Bilingual("Variation", "变体"), request)

        builder.on_draw(controls, variations, [picture, ..., settings], [pictures, seed])

- Nothing may stand beside the tabs, not even a `gr.State`: Gradio counts it as a tab and mixes up the others.
- `builder.say(en, zh)` is for Gradio's labels and buttons; `Bilingual(en, zh)` for templates and what the server says.
- `builder.add_reuse(task, tab, widgets)` makes "Reuse settings" below the task's own results and in the history.
- `builder.add_destination(Destination(...))` makes a button below every result of every tab that brings it here.
- `builder.draw(ask, order, caption, request)` makes the request, waits for the turn, streams `Drawing`s and stops
  within a step when nobody listens; a tab draws through the service alone.
- `builder.choices(like=...)` takes a request of the tab's kind, whose pictures and words do not matter.
"""

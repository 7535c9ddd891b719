"""The HTTP API: OpenAI's image endpoints, which its clients call, and beside them the paper's other tasks.

`routes.api(service)` is an application to be mounted at `/v1`: beside the page by `app.py`, alone by
`python -m dalle2 serve`. A handler turns what a client sent into a task's `Request`, lets the service draw it, and
answers; it knows neither tensors nor Gradio.
"""

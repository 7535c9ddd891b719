"""One service for every front: the page, the HTTP API and whatever else lets visitors draw.

It takes what is to be drawn, with settings and seeds, and gives a stream of events: the place in the queue, previews,
pictures, refusals as sentences. It knows no front, and neither Gradio nor a web server.
"""

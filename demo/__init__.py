"""The page: a Gradio face on the model. Only `studio.py` knows dalle2; a tab is a file of its own."""

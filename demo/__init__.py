"""The page: a Gradio face on `dalle2.serving`, which alone knows the model; a tab is a file of its own."""

"""A checkpoint as the Hugging Face Hub takes it: a model repository and a Space, prepared, checked, and uploaded.

`prepared` fills a folder, `rules` holds it against what the Hub documents, `upload` sends it.
"""

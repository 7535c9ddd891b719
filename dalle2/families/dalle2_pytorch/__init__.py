"""DALLE2-pytorch (lucidrains, with LAION's weights): a diffusion prior, and a cascade of U-Nets on pixels.

Its networks have no counterpart in diffusers, so they are written here. `python -m dalle2.convert` makes a checkpoint
folder of its files.
"""

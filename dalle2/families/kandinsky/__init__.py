"""Kandinsky 2.1 and 2.2: published in two, a prior with CLIP and a decoder of MoVQ latents."""

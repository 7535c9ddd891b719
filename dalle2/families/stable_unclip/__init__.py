"""Stable unCLIP: Stable Diffusion 2.1 that sees a CLIP image embedding beside its text, with Karlo's prior."""

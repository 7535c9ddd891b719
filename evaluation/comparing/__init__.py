"""Several checkpoints or settings side by side: drawing in turns, paired differences, their page."""

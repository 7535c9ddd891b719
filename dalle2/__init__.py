"""An open DALL-E 2 (unCLIP, arXiv 2204.06125): the model. Import its rooms; this file imports nothing."""

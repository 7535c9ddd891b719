"""Captioned pictures for training: the emoji set, its captions, and any other `datasets` source."""

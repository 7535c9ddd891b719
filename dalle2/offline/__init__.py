"""Training on a machine without a network: one file goes there, a few come back.

`python -m dalle2.offline` makes the file; `train.py`, which lies in it, is the command there.
"""

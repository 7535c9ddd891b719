"""One's own pictures -> a LoRA file: a new style or a new concept of a checkpoint, which keeps what it knew.

    python -m dalle2.finetune FOLDER --name "my style"

A word is added to the text tower and learnt from the contrast of pictures and captions; then the prior and the decoder
are trained by low-rank changes (peft), beside pictures of the checkpoint's own, for which they are held to what they
predicted before. `docs/finetune.md` shows an example.
"""

"""Draws from a folder that `python -m dalle2.export` wrote, by numpy, tokenizers and onnxruntime or openvino alone.

    python -m dalle2_runner "a cat face, twemoji style" --seed 7 -o cat.png

A picture is the one that the checkpoint draws for this prompt, taken literally, and this seed, to 1e-4. This package
needs no other of its project, and is copied into each folder. What is done here is done in `dalle2` by `sampling`,
`networks` and `families`, and said there at length.
"""

"""Engines: what computes the networks that denoise, in torch's place, on a CPU. Families know nothing of them."""

ENGINES = ("auto", "torch", "onnxruntime", "openvino")
EXTRA = "pip install 'open-dalle2[edge]'"

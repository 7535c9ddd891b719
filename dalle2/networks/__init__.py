"""The networks that neither diffusers nor transformers keep."""

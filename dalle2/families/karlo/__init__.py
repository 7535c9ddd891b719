"""Karlo's family: the embedded checkpoint and `kakaobrain/karlo-v1-alpha` are both of it."""

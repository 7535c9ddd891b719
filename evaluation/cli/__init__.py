"""What the commands share: options, and errors as one sentence."""

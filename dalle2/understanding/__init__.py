"""What a prompt means in the words of a checkpoint: visitors' words -> the concept, style and background it knows."""

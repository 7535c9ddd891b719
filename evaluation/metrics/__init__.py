"""What is computed from features, pictures and scores: plain arrays in, numbers and intervals out."""

"""The emoji set: what the scorecard and the text diffs of the embedded checkpoints ask of it."""

"""The only room that knows the model: checkpoints opened, pictures drawn."""

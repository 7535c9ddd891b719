"""Training: a recipe goes in, a checkpoint folder comes out.

The stages run in order (clip, the priors, decoder, upsampler), each freezing what came before it. Every
random draw of a run is a function of the recipe's seed, the stage and the step, never of how many
processes there are or of where the run was interrupted.
"""

"""What people say of pictures: studies and their answers as files, and what answers add up to.

Page and ruler share it: the one asks, the other counts.
"""

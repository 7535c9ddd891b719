"""Folders of pictures: which files count, how they were drawn, how they are opened."""

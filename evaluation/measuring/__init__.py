"""Folders measured: the work of the commands, from their options to a report."""

"""Prompts: where they are read from, which are drawn, and whose picture is whose."""

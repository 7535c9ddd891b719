"""The options of each command, a file a command, and what all of them share. Nothing heavy is imported here."""

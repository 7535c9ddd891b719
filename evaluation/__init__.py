"""The ruler: prompts, pictures, features, statistics, numbers, reports."""

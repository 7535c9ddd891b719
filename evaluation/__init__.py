"""The ruler: prompts, pictures, features, statistics, numbers, reports."""

import dalle2  # noqa: F401  # guards what is run as a command, before anything heavy is imported

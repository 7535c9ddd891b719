"""Numbers with where they come from, as JSON, CSV, Markdown, HTML and on the terminal."""

"""One file a task: `build(studio)` lays out its widgets and wires its events."""

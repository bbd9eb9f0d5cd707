"""One camera from its frames to its events: reading, scoring, levels, tracking."""

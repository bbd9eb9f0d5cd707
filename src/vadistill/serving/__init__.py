"""Live cameras: scoring, events, alerts and the console."""

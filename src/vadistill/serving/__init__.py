"""Live cameras: scoring, events, alerts and the console.

Imports every room but ``cli``.  Within, imports go down: web, hub and demo, then live, jobs and
sinks, then storage, then config.
"""

"""One camera from its frames to its events: reading, scoring, levels, tracking.

Imports ``storage``, ``config`` and what lies below serving.
"""

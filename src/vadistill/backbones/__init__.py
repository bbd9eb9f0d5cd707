"""Pre-trained networks that turn pictures into features.

Imports ``datasets``, ``video`` and what lies below them.
"""

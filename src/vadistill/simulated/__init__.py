"""Simulated data with exact truth: the walkway's videos, and snippet features at UCF-Crime's scale.

Imports ``datasets``, which read what is written here, and what lies below them.
"""

"""Simulated data with exact truth: the walkway's videos, and clip features at UCF-Crime's scale."""

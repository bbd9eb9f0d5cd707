"""The papers' tables re-run, and every committed figure as a record.

Imports ``report``, ``evaluation``, the systems and what lies below them.
"""

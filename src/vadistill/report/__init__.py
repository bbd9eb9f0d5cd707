"""What people look at: report pages, charts, timelines, annotated films.

Imports ``evaluation`` and what lies below it.
"""

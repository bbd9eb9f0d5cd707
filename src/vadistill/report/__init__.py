"""What people look at: report pages, charts, timelines, annotated films.

Imports ``evaluation`` and what lies below it.
"""

SELF_TEST_PAGE = "selftest.html"
"""The page of a model's self-test, in the model's folder."""

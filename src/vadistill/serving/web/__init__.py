"""The console's web server: JSON API, live feeds, static pages, and what keeps them safe.

Imports all of serving and what lies below it.
"""

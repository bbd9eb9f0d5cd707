"""Work on uploaded files in processes of their own.

Imports ``storage``, ``config`` and what lies below serving.
"""

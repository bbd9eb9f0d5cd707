"""What is kept on disk: events, clips, recorded footage, messages that wait.

Imports ``config`` and what lies below serving.
"""

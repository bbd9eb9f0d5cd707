"""Archives on Ray: many videos, on all cores of this machine or of several, each done once.

Imports the systems, the loop of ``evaluation.scoring`` and what lies below them; Ray (the extra
``cluster``) only where work is handed out.
"""

"""Archives on Ray: many videos, on all cores of this machine or of several, each scored once.

Imports the systems, the loop of ``evaluation.scoring`` and what lies below them; Ray (the extra
``cluster``) only where work is handed out.
"""

"""The papers' tables re-run, and every committed figure as a record."""

"""What is kept on disk: events, clips, recorded footage, messages that wait."""

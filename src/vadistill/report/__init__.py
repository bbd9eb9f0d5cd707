"""What people look at: report pages, charts, timelines, annotated films."""

"""The fast frame-level student, distilled from object-centric teachers' anomaly maps."""

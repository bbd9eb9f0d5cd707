"""The console's web server: JSON API, live feeds, static pages, and what keeps them safe."""

"""Settings turned into objects: models, rows and runs."""

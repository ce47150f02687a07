"""What `import rot5` gives: models to ask, figures about texts, stories, and what denoising makes of a text."""

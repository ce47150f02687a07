"""ROT5: small encoder-decoder language models, from text to a tuned and measured summarizer."""

__version__ = "0.1.0"

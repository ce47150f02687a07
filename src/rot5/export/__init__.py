"""What an export holds beside weights and tokenizer, and where it goes."""

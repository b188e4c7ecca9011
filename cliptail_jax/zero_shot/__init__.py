"""Zero-shot evaluation: the sets, their class names and prompts, published frequencies, and published models."""

"""How often each concept occurs in a caption corpus."""

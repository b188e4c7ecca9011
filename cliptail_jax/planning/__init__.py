"""What a run needs of accelerators that are not there: its step is compiled for them ahead of time."""

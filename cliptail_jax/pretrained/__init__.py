"""Published weights in, our weights out, in open_clip's format and without torch."""

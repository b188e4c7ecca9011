"""The Matplotlib style and the plots that several programs share."""

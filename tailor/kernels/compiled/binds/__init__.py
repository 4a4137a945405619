"""How layers become steps, one file a family, each with its rows at the end."""

"""The door of the daemon: a machine that personalises by itself."""

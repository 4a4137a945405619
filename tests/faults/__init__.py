"""What must survive a process that dies."""

"""What the commands ask and show."""

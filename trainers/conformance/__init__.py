"""What every family of model promises, and the suite that tries it."""

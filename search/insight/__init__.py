"""What a search can be asked afterwards: criticism, importance, comparison, calibration."""

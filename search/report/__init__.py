"""The report: one page of HTML, made from the log."""

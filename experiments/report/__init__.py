"""What a person reads: tables, figures, and the page that a run leaves."""

"""MCCFormers-D and -S. Stage: answer."""

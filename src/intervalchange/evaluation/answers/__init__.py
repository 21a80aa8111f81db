"""Files of answers, ours or anybody's, read and joined with their references."""

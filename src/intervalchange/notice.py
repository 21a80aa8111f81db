"""The research-use notice, in one place: pages, tables and the command line print it."""

NOTICE = "Research use only. Not a medical device; not for diagnosis or treatment."

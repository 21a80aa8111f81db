"""What score shows: the table, the HTML page, its curves and worst cases."""

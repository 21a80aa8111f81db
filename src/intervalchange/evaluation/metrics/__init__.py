"""Numbers from predictions and targets: one file a metric family. No torch."""

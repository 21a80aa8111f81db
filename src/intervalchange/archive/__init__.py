"""A DICOM archive: the prior of a film is found there, and the answer filed."""

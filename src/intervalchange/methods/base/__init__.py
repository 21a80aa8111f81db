"""What several methods share: the base class, the answering path, encoders of pairs and of regions."""

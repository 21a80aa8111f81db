"""C2F: coarse-to-fine contrastive learning for difference VQA. Stages: anatomy, diseases, align, answer."""

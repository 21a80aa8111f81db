"""IDCPCL: image difference captioning with pre-training and contrast. Stages: pretrain, answer."""

"""The worker that fits what follows from a catalogue's embeddings: whitening and PCA."""

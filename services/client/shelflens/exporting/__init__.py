"""A catalogue as files: its records, and the embeddings of its images."""

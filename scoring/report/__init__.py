"""The results of a protocol as one HTML page that opens from disk without a network."""

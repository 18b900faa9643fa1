"""Maps of embeddings: made, judged, and joined by later cases."""

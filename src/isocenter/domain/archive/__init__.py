"""Keeps what modalities and other systems send, exactly as received, and knows where it is."""

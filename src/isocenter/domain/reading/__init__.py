"""Reading: what radiologists measure in images, and how they like them shown."""

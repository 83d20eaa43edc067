"""What C-FIND searches: the modality worklist, and studies, series and instances of the archive."""

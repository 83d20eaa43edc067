"""What the scanners were told: the entries of the modality worklist and who asked for them."""

"""DICOM as bytes and values: what PS3.3 to PS3.18 say, without I/O."""

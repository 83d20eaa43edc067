"""DICOMweb as bytes and values: multipart bodies, query parameters, media types (PS3.18)."""

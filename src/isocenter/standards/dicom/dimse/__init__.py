"""The DICOM message service: command sets, their fragments, their status codes. No I/O.

Standard: PS3.7
"""

"""DICOMweb: STOW-RS, QIDO-RS and WADO-RS over the archive.

Requests become calls of one service or read model, answers become DICOM JSON, multipart bodies and
images. Who asks was decided before a request arrives here.

Standard: PS3.18
"""

"""The DICOM and HL7 applications we talk to, who else called, and the messages exchanged."""

"""The pages people work with, and the JSON API beside them: server-rendered, one CSS file.

Requests arrive with ``scope["state"]["actor"]`` set; credentials are checked before. Pages and API
call the same services and read models, which decide who may see what. Images come from DICOMweb.
"""

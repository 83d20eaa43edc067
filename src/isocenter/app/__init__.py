"""Composition root: settings, roles, command line and the demonstration hospital.

The only place that reads the environment and knows every part. It holds no medical rule and
no protocol.
"""

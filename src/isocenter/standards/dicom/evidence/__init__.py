"""Objects that say something about images: measurements, key images, how they were shown.

Values in, data sets out. Who wrote them, when and under which UIDs is told by the caller; nothing
here reads a file, a clock or a database.
"""

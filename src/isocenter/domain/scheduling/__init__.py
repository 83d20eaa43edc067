"""When and where it is to be done: scheduled procedure steps."""

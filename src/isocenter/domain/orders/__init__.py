"""What was ordered: imaging orders with their requested procedures."""

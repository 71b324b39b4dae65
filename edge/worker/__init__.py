"""The confined process that holds a model, and the front's end of it."""

"""The front: the supervisor of workers, the watch window, HTTP."""

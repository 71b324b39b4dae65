"""What a device holds and demands: its store, pointers and their transitions, its policy."""

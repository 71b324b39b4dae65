"""The appliance: what a device holds (store, pointers, keys, counters) and demands (policy)."""

"""What runs on the appliance: bundles, the store, engines, tasks, the server, batches.

Nothing in here needs PyTorch.
"""

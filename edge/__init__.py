"""What runs on the appliance: bundles, the store, engines, tasks, the server, batches. No PyTorch
in here.
"""

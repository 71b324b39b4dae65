"""Workstation, no PyTorch: pack, sign, attach, write roots of trust."""

"""Bundles as they arrive: read and judged here; nothing in here can sign.

A bundle is a CNCF ModelPack artifact in an OCI image layout, signed. docs/bundle.md describes the
format.
"""

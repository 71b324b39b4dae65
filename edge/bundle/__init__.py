"""Bundles: a CNCF ModelPack artifact in an OCI image layout, signed. docs/bundle.md describes the
format.
"""

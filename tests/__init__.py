"""Tests mirror the folders."""

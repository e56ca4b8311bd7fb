"""Shelflens services: one package per process, import path = file path."""

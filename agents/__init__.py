"""Grades LLM agents: a workbench on which a model works on a submission, and the Inspect task around it.

Only modules called `inspect_…` import Inspect; what a rollout is, is known without it.
"""

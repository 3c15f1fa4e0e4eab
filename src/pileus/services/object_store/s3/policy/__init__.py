"""Bucket policies: who may do what with a bucket, in AWS's policy language."""

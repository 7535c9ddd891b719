"""The command line `python -m dalle2`: arguments become requests, requests become files."""

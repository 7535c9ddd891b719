"""What a public server meets: a crowd, broken requests, rude clients, a kill while it draws, and a full disk.

`python -m benchmarks.attack` starts servers of its own on this machine, attacks nothing else, and ends by itself.
"""

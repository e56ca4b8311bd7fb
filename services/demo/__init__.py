"""The demo shop: invented products, their packshots, and photos that customers might take of them.

Everything is drawn by this package from a seed (Pillow and numpy only), so the demo, the tests and
the load tests have any number of pictures with exact ground truth and no licence attached.
"""

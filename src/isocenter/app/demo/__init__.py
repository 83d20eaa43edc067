"""A small hospital that plays itself: an EHR, three modalities and a radiologist over real sockets.

It holds no part of the product: it is a peer, with patients that exist nowhere.
"""

"""Configurations of other tools that set thin pools up → what `dmguard setup` would be told.

One file a tool. Nothing is carried over that is not understood: it is told instead.
"""

"""Interlocks: rules of the bench file that light must keep to, watched where the light is made.

`rules` and `laser_rules` say what is allowed, `watches` what is seen of a device and `observer` whoever looks, `guard`
puts the light out and keeps it out until somebody acknowledges; `interlocks` is what a device server has of all this.
"""

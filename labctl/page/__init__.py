"""A bench in a browser: `labctl page`. Needs the extra `[page]`.

`access` decides who may do what, `link` reaches the bench, `feed` brings pictures and readings to browsers, `runs`
starts protocols, `views` is what people see, and `server` puts them together. Only `views` and `server` know NiceGUI.
"""

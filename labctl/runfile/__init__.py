"""The file of a run: written so that it is whole at any moment, locked meanwhile, read however it ended, catalogued.

What is measured into it is the business of `labctl.experiments`, what is done with it afterwards of `labctl.runs`.
"""

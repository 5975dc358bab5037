"""The live page of ``rldf app``: drop a picture, watch its search, move what was found.

choices       what visitors can choose, and the models that they share
turns         one thread at a time uses the models
live_search   a search in a thread of its own, watched step by step
visitors      one tab each: its search, and the picture that its sliders move
tool          what assistants can call
view          HTML of a running search
page          the Gradio page
server        serves it
"""

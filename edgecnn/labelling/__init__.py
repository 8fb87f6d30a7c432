"""Saying what kept frames show: alike ones at once, in the browser, by one person or several."""

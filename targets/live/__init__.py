"""The live loop: frames in at their own pace, answers and decisions out."""

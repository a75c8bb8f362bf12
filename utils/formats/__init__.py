"""Volume, image-stack and video formats, each behind one z, y, x view."""

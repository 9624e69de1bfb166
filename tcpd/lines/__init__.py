"""Line protocols: shared by the ``line`` service and the chat frontends."""

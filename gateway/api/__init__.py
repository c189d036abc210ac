"""The REST door. Routes are thin: read the request, call the use case, present the answer."""

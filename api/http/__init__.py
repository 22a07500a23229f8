"""HTTP itself: server, request bodies, problem documents, pagination."""

"""Records -> what people look at: tables, curves, a page; the journals are read, and no daemon is asked."""

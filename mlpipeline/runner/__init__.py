"""From a queue file to recorded results: queue file -> next run -> isolated child -> record."""

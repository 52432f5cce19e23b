"""What Gatehouse is made of: its packages' licences, and whether holes in them are known."""

"""Who asks, where people sign in; what the server gives to whom; and which project a page is of."""

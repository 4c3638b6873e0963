"""Who may do what on the page: tokens, who has signed in, and from where requests are taken at all."""

"""Who may act here and what they may do: users, sessions, tokens and the one decision."""

"""What a log says: summary, leaderboard, statistics, verdict."""

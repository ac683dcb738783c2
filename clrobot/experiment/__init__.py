"""What is to be done: curricula and configurations, from defaults, files and flags."""

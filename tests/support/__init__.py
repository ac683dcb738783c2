"""What the tests share: tiny models, trainings of seconds, made-up runs, and what must be the same of two runs."""

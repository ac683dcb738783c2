"""What we have measured ourselves and ship as data: results, reference curves, and what settings were chosen on."""

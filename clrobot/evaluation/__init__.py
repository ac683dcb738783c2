"""What a trained agent does: acting, measuring, collecting, exporting."""

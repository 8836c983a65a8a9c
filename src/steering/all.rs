//! Policy `all`: every member that is up, rotated by the draw.

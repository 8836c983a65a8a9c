//! Policy `weighted`: by weight and draw.

//! Great-circle distance and bias.

use crate::model::Coordinates;

/// Great-circle distance on a sphere of the Earth's mean radius, in kilometres.
pub fn kilometres(a: Coordinates, b: Coordinates) -> f64 {
    let _ = (a, b);
    todo!()
}

/// A distance as Route 53 biases it: d x (1 - b/100) for b >= 0, d / (1 + b/100) for b < 0; b in -99..=99.
pub fn biased(kilometres: f64, bias: i8) -> f64 {
    let _ = (kilometres, bias);
    todo!()
}

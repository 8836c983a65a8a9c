//! Great-circle distance and bias.

use crate::model::Coordinates;

/// Great-circle distance on a sphere of the Earth's mean radius, in kilometres.
///
/// The haversine formula, by `atan2`: well behaved for points that are next to each other and for
/// points on opposite sides of the globe, where `acos` and `asin` lose their argument to rounding.
pub fn kilometres(a: Coordinates, b: Coordinates) -> f64 {
    let (latitude_a, latitude_b) = (a.latitude.to_radians(), b.latitude.to_radians());
    let north = ((latitude_b - latitude_a) / 2.0).sin();
    let east = ((b.longitude - a.longitude).to_radians() / 2.0).sin();
    let haversine = (north * north + latitude_a.cos() * latitude_b.cos() * east * east).clamp(0.0, 1.0);
    2.0 * EARTH_RADIUS_KM * haversine.sqrt().atan2((1.0 - haversine).sqrt())
}

/// A distance as Route 53 biases it: d x (1 - b/100) for b >= 0, d / (1 + b/100) for b < 0; b in -99..=99.
pub fn biased(kilometres: f64, bias: i8) -> f64 {
    let share = f64::from(bias) / 100.0;
    if bias >= 0 { kilometres * (1.0 - share) } else { kilometres / (1.0 + share) }
}

/// The mean radius of the Earth (IUGG), in kilometres.
const EARTH_RADIUS_KM: f64 = 6371.0088;

#[cfg(test)]
mod tests {
    use std::f64::consts::PI;

    use proptest::prelude::*;

    use super::*;

    fn at(latitude: f64, longitude: f64) -> Coordinates {
        Coordinates { latitude, longitude }
    }

    #[test]
    fn frankfurt_to_ashburn_is_as_far_as_the_atlas_says() {
        let distance = kilometres(at(50.11, 8.68), at(39.04, -77.49));
        assert!((distance - 6540.0).abs() < 40.0, "{distance}");
    }

    #[test]
    fn opposite_sides_of_the_globe_are_half_its_girth_apart() {
        for (a, b) in [
            (at(90.0, 0.0), at(-90.0, 0.0)),
            (at(0.0, 0.0), at(0.0, 180.0)),
            (at(37.3, 12.9), at(-37.3, -167.1)),
        ] {
            assert!((kilometres(a, b) - PI * EARTH_RADIUS_KM).abs() < 0.001);
        }
    }

    #[test]
    fn the_date_line_is_no_wall() {
        assert!((kilometres(at(0.0, 179.5), at(0.0, -179.5)) - 111.195).abs() < 0.01);
    }

    #[test]
    fn a_positive_bias_pulls_and_a_negative_one_pushes() {
        assert_eq!(biased(1000.0, 0), 1000.0);
        assert!((biased(1000.0, 50) - 500.0).abs() < 1e-9);
        assert!((biased(1000.0, -50) - 2000.0).abs() < 1e-9);
        assert!((biased(1000.0, 99) - 10.0).abs() < 1e-9);
        assert!((biased(1000.0, -99) - 100_000.0).abs() < 1e-6);
    }

    proptest! {
        #[test]
        fn a_distance_is_a_distance(
            a in (-90.0..=90.0, -180.0..=180.0), b in (-90.0..=90.0, -180.0..=180.0),
        ) {
            let (a, b) = (at(a.0, a.1), at(b.0, b.1));
            let there = kilometres(a, b);
            prop_assert!((0.0..=PI * EARTH_RADIUS_KM + 0.001).contains(&there));
            prop_assert!((there - kilometres(b, a)).abs() < 1e-6);
            prop_assert!(kilometres(a, a) < 1e-6);
        }
    }
}

//! A random world: address space divided into networks, each in some place.

use windrose::geo::hubs;

/// Random numbers, the same for the same seed (splitmix64).
pub struct World {
    state: u64,
    /// Of each country in turn.
    places: Vec<Place>,
    countries: usize,
    /// Where the last network was: its neighbours are mostly near it.
    here: usize,
}

/// Where a network is.
#[derive(Clone, Debug)]
pub struct Place {
    pub country: String,
    pub continent: &'static str,
    /// The code of a part of the country.
    pub part: String,
    pub latitude: f64,
    pub longitude: f64,
    pub asn: u32,
}

/// Blocks of IPv4 that are in use, as first address and prefix length.
pub const V4: [(u64, u8); 4] = [(0x0100_0000, 8), (0x2000_0000, 3), (0x8000_0000, 2), (0xc000_0000, 4)];

/// Blocks of IPv6 that registries have, by their first 64 bits.
pub const V6: [(u64, u8); 6] = [
    (0x2001_0200_0000_0000, 23),
    (0x2400_0000_0000_0000, 12),
    (0x2600_0000_0000_0000, 12),
    (0x2800_0000_0000_0000, 12),
    (0x2a00_0000_0000_0000, 11),
    (0x2c00_0000_0000_0000, 12),
];

impl World {
    pub fn new(seed: u64) -> Self {
        let letters = || b'A'..=b'Z';
        let codes =
            letters().flat_map(|a| letters().map(move |b| String::from_utf8_lossy(&[a, b]).into_owned()));
        let known: Vec<_> =
            codes.filter_map(|code| Some((code.clone(), hubs::of(code.parse().ok()?)?))).collect();
        let mut world = Self { state: seed, places: Vec::new(), countries: known.len(), here: 0 };
        for number in 0..PLACES {
            let (country, hub) = &known[number % known.len()];
            let mut around = |centre: f64, limit: f64| {
                let degrees = centre + (world.below(80_000) as f64 - 40_000.0) / 10_000.0;
                degrees.clamp(-limit, limit)
            };
            let latitude = around(hub.at.latitude, 89.0);
            let longitude = around(hub.at.longitude, 179.0);
            let asn = 1 + world.below(70_000) as u32;
            let continent = hub.continent.code();
            let part = format!("{:02}", world.below(20));
            world.places.push(Place { country: country.clone(), continent, part, latitude, longitude, asn });
        }
        world
    }

    /// Divides blocks into so many networks, none longer than `longest`: first address and prefix length of each, in
    /// order. IPv6 by its first 64 bits.
    pub fn divide(&mut self, networks: usize, blocks: &[(u64, u8)], longest: u8) -> Vec<(u64, u8)> {
        let width = if longest > 32 { 64 } else { 32 };
        let total: f64 = blocks.iter().map(|block| 0.5f64.powi(block.1.into())).sum();
        let mut divided = Vec::with_capacity(networks);
        for &(first, length) in blocks {
            let share = 0.5f64.powi(length.into()) / total;
            let wanted = ((networks as f64 * share) as usize).max(1);
            self.split(first, length, wanted, width, longest, &mut divided);
        }
        divided
    }

    fn split(
        &mut self,
        first: u64,
        length: u8,
        wanted: usize,
        width: u8,
        longest: u8,
        out: &mut Vec<(u64, u8)>,
    ) {
        if wanted <= 1 || length == longest {
            out.push((first, length));
            return;
        }
        let room = 1usize << (longest - length - 1).min(40);
        let left = (wanted * (30 + self.below(41) as usize) / 100).clamp(1, room);
        let right = (wanted - left).clamp(1, room);
        self.split(first, length + 1, left, width, longest, out);
        self.split(first | 1 << (width - 1 - length), length + 1, right, width, longest, out);
    }

    /// Where the next network is: mostly in the country of the one before it.
    pub fn place(&mut self) -> Place {
        self.here = match self.below(8) {
            0 => self.below(PLACES as u64) as usize,
            _ => (self.here + self.countries * self.below(400) as usize) % PLACES,
        };
        self.places[self.here].clone()
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) % limit
    }
}

const PLACES: usize = 100_000;

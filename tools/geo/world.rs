//! A random world: address space divided into networks, each in some place.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
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

/// The address space of a family, as it is given out. Addresses are their first 64 bits.
pub struct Family {
    /// What is in use, as first address and prefix length.
    blocks: &'static [(u64, u8)],
    /// Bits of an address as they are counted here.
    width: u8,
    /// The prefix lengths that networks have; what is left of a part beyond its network is nobody's.
    lengths: &'static [u8],
}

pub const V4: Family = Family {
    blocks: &[(0x0100_0000, 8), (0x2000_0000, 3), (0x8000_0000, 2), (0xc000_0000, 4)],
    width: 32,
    lengths: &[8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24],
};

/// The registries' blocks.
pub const V6: Family = Family {
    blocks: &[
        (0x2001_0200_0000_0000, 23),
        (0x2400_0000_0000_0000, 12),
        (0x2600_0000_0000_0000, 12),
        (0x2800_0000_0000_0000, 12),
        (0x2a00_0000_0000_0000, 11),
        (0x2c00_0000_0000_0000, 12),
    ],
    width: 64,
    lengths: &[20, 24, 28, 29, 32, 36, 40, 44, 48],
};

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

    /// All places.
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// Divides the space of a family into so many networks, in the order of their addresses.
    pub fn divide(&mut self, networks: usize, family: &Family) -> Vec<IpNet> {
        let total: f64 = family.blocks.iter().map(|block| 0.5f64.powi(block.1.into())).sum();
        let mut divided = Vec::with_capacity(networks);
        for &(first, length) in family.blocks {
            let share = 0.5f64.powi(length.into()) / total;
            let wanted = ((networks as f64 * share).round() as usize).max(1);
            self.split(first, length, wanted, family, &mut divided);
        }
        divided
    }

    /// Divides a part of the space unevenly, until each part has one network.
    fn split(&mut self, first: u64, length: u8, wanted: usize, family: &Family, out: &mut Vec<IpNet>) {
        let longest = family.lengths[family.lengths.len() - 1];
        if wanted <= 1 || length == longest {
            let given = family.lengths.iter().find(|given| **given >= length).unwrap_or(&longest);
            out.push(family.net(first, *given));
            return;
        }
        let room = 1usize << (longest - length - 1);
        let share = wanted * (15 + self.below(71) as usize) / 100;
        let left = share.clamp(1, wanted - 1).max(wanted.saturating_sub(room)).min(room);
        let right = (wanted - left).min(room);
        self.split(first, length + 1, left, family, out);
        self.split(first | 1 << (family.width - 1 - length), length + 1, right, family, out);
    }

    /// The number of the place where the next network is: mostly in the country of the one before it.
    pub fn place(&mut self) -> usize {
        self.here = match self.below(8) {
            0 => self.below(PLACES as u64) as usize,
            _ => (self.here + self.countries * self.below(400) as usize) % PLACES,
        };
        self.here
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) % limit
    }
}

impl Family {
    fn net(&self, first: u64, length: u8) -> IpNet {
        match self.width {
            32 => Ipv4Net::new_assert((first as u32).into(), length).into(),
            _ => Ipv6Net::new_assert((u128::from(first) << 64).into(), length).into(),
        }
    }
}

const PLACES: usize = 100_000;

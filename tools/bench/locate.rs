//! What it costs to find a client in a map made of a million networks: `cargo bench --bench locate`.
//!
//! The networks are made up, in the shape of a City database: IPv4 is cut into networks of /12 to /24 and
//! nearly full; IPv6 crowds into the blocks of the registries. Neighbours hardly ever share a class, which is
//! the worst case: real ones do.
//!
//! Addresses are drawn from within random networks; those of `v4_anywhere` from all of IPv4. Lookups follow one
//! another as a loop makes them, and the processor overlaps some of what they wait for; in `one_by_one` each
//! waits for the one before it, which shows the whole time from asking to knowing. A sample is the mean of 4096
//! lookups. What counts is how much of the last level cache is left over: compare on an idle machine.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

use divan::Bencher;
use divan::counter::ItemsCount;
use windrose::geo::Partition;

/// How many classes the networks are divided into: few that merge, as many as regions, as many as places.
const CLASSES: [u32; 3] = [2, 40, 5000];

/// More than any cache holds the way to.
const ADDRESSES: usize = 1 << 18;

static NETWORKS: LazyLock<Networks> = LazyLock::new(Networks::made_up);

fn main() {
    println!("{} IPv4 networks, {} IPv6 networks", NETWORKS.v4.len(), NETWORKS.v6.len());
    for classes in CLASSES {
        let partition = NETWORKS.partition(classes);
        let (v4, v6): (Vec<_>, Vec<_>) = partition.prefixes().partition(|(net, _)| net.addr().is_ipv4());
        println!(
            "{classes:>4} classes: {} IPv4 and {} IPv6 prefixes in {:.1} MB",
            v4.len(),
            v6.len(),
            partition.bytes() as f64 / 1e6
        );
    }
    divan::main();
}

#[divan::bench(args = CLASSES, sample_count = 1000, sample_size = 4096)]
fn v4(bencher: Bencher, classes: u32) {
    find(bencher, classes, |chance| NETWORKS.client_v4(chance));
}

#[divan::bench(args = CLASSES, sample_count = 1000, sample_size = 4096)]
fn v4_anywhere(bencher: Bencher, classes: u32) {
    find(bencher, classes, |chance| Ipv4Addr::from_bits(chance.draw() as u32).into());
}

#[divan::bench(args = CLASSES, sample_count = 1000, sample_size = 4096)]
fn v6(bencher: Bencher, classes: u32) {
    find(bencher, classes, |chance| NETWORKS.client_v6(chance));
}

#[divan::bench(args = CLASSES, sample_count = 1000, sample_size = 4096)]
fn half_v4_half_v6(bencher: Bencher, classes: u32) {
    find(bencher, classes, |chance| NETWORKS.client(chance));
}

#[divan::bench(args = CLASSES, sample_count = 1000, sample_size = 4096)]
fn half_v4_half_v6_one_by_one(bencher: Bencher, classes: u32) {
    let partition = NETWORKS.partition(classes);
    let clients = clients(|chance| NETWORKS.client(chance));
    let mut at = 0;
    bencher.bench_local(|| {
        let (class, scope) = partition.find(clients[at % ADDRESSES]);
        // No scope is that long, but the processor cannot know.
        at += 1 + usize::from(scope > 128);
        class
    });
}

#[divan::bench(args = CLASSES, sample_count = 1000, sample_size = 4096)]
fn v4_within_v6(bencher: Bencher, classes: u32) {
    find(bencher, classes, |chance| match NETWORKS.client_v4(chance) {
        IpAddr::V4(client) => client.to_ipv6_mapped().into(),
        client => client,
    });
}

#[divan::bench(args = CLASSES, sample_count = 10)]
fn compile(bencher: Bencher, classes: u32) {
    let (v4, v6) = NETWORKS.runs(classes);
    bencher
        .counter(ItemsCount::new(NETWORKS.v4.len() + NETWORKS.v6.len()))
        .bench_local(|| Partition::compile(v4.iter().copied(), v6.iter().copied()));
}

fn find(bencher: Bencher, classes: u32, client: impl FnMut(&mut Chance) -> IpAddr) {
    let partition = NETWORKS.partition(classes);
    let clients = clients(client);
    let mut at = 0;
    bencher.bench_local(|| {
        at += 1;
        partition.find(clients[at % ADDRESSES])
    });
}

fn clients(mut client: impl FnMut(&mut Chance) -> IpAddr) -> Vec<IpAddr> {
    let mut chance = Chance(1);
    (0..ADDRESSES).map(|_| client(&mut chance)).collect()
}

/// Networks of a database: where each begins, and its length.
struct Networks {
    v4: Vec<(u32, u8)>,
    v6: Vec<(u128, u8)>,
}

/// Where addresses of a class begin, and the class.
type Runs<A> = Vec<(A, u32)>;

impl Networks {
    fn made_up() -> Self {
        let mut chance = Chance(20);
        let mut networks = Self { v4: Vec::new(), v6: Vec::new() };
        for block in 0x010..0xe00 {
            networks.cut_v4(block << 20, 12, &mut chance);
        }
        for (first, length) in REGISTRY_BLOCKS {
            networks.allocate_v6(u128::from(first) << 96, length, &mut chance);
        }
        networks
    }

    /// Cuts a block in halves until chance leaves it whole.
    fn cut_v4(&mut self, first: u32, length: u8, chance: &mut Chance) {
        let halves_per_cent = if length < 20 { 80 } else { 60 };
        if length < 24 && chance.below(100) < halves_per_cent {
            self.cut_v4(first, length + 1, chance);
            self.cut_v4(first + (1 << (31 - length)), length + 1, chance);
        } else {
            self.v4.push((first, length));
        }
    }

    /// Fills the first quarter of a registry's block with allocations of /29 to /32, as far apart as
    /// registries leave them. Most are one network; others are cut into some of /40 to /48.
    fn allocate_v6(&mut self, first: u128, length: u8, chance: &mut Chance) {
        let spacing = if length < 20 { 29 } else { 32 };
        for number in 0..1u128 << (spacing - length) >> 2 {
            let allocation = first + (number << (128 - spacing));
            match chance.below(20) {
                0..10 => {}
                10..19 => self.v6.push((allocation, spacing + chance.below(u64::from(33 - spacing)) as u8)),
                _ => {
                    let inner = 40 + chance.below(9) as u8;
                    let networks = 1 << chance.below(u64::from(inner - 32).min(7) + 1);
                    self.v6
                        .extend((0..networks).map(|inside| (allocation + (inside << (128 - inner)), inner)));
                }
            }
        }
    }

    fn partition(&self, classes: u32) -> Partition {
        let (v4, v6) = self.runs(classes);
        Partition::compile(v4, v6)
    }

    /// A class drawn for each network; 0 for the space between them.
    fn runs(&self, classes: u32) -> (Runs<u32>, Runs<u128>) {
        let mut chance = Chance(u64::from(classes));
        let mut class = || chance.below(classes.into()) as u32;
        let (mut v4, mut v6) = (vec![(0, 0)], vec![(0, 0)]);
        for (first, length) in &self.v4 {
            v4.pop_if(|run| run.0 == *first);
            v4.push((*first, class()));
            v4.push((first + (1 << (32 - length)), 0));
        }
        for (first, length) in &self.v6 {
            v6.pop_if(|run| run.0 == *first);
            v6.push((*first, class()));
            v6.push((first + (1 << (128 - length)), 0));
        }
        (v4, v6)
    }

    fn client(&self, chance: &mut Chance) -> IpAddr {
        if chance.below(2) == 0 { self.client_v4(chance) } else { self.client_v6(chance) }
    }

    fn client_v4(&self, chance: &mut Chance) -> IpAddr {
        let (first, length) = self.v4[chance.below(self.v4.len() as u64) as usize];
        Ipv4Addr::from_bits(first | chance.draw() as u32 & u32::MAX >> length).into()
    }

    fn client_v6(&self, chance: &mut Chance) -> IpAddr {
        let (first, length) = self.v6[chance.below(self.v6.len() as u64) as usize];
        let host = u128::from(chance.draw()) << 64 | u128::from(chance.draw());
        Ipv6Addr::from_bits(first | host & u128::MAX >> length).into()
    }
}

/// Where registries allocate IPv6: the first 32 bits, and the length.
const REGISTRY_BLOCKS: [(u32, u8); 12] = [
    (0x2001_0200, 23),
    (0x2001_0400, 22),
    (0x2001_1400, 22),
    (0x2001_4000, 23),
    (0x2003_0000, 18),
    (0x2400_0000, 12),
    (0x2600_0000, 12),
    (0x2620_0000, 23),
    (0x2800_0000, 12),
    (0x2a00_0000, 12),
    (0x2a10_0000, 12),
    (0x2c00_0000, 12),
];

/// SplitMix64: the same numbers in each run.
struct Chance(u64);

impl Chance {
    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.draw() % bound
    }
}

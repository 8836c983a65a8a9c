//! Clients divided into classes that are treated alike: address -> class, and the scope of that fact.
//!
//! ```text
//!   runs of one class            leaves of the merged prefix tree
//!   0.0.0.0    a                 0.0.0.0/5    a
//!   10.0.0.0   b      --->       8.0.0.0/7    a
//!   11.0.0.0   a                 10.0.0.0/8   b
//!                                11.0.0.0/8   a  ...
//! ```
//!
//! Cutting a run into the largest aligned blocks that fit gives exactly the leaves that a prefix tree has
//! once equal siblings are merged: a block could only be widened by taking in an address of another class. So
//! the depth of a leaf is the shortest scope that is true.
//!
//! IPv4 addresses within IPv6 ones are looked up as IPv4. In the tree of IPv6 each kind of them is a class of
//! its own, which sends the lookup there: other addresses are not asked whether they are one, and no scope of
//! theirs reaches into it.

use std::iter::successors;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::geo::embedded::EMBEDDINGS;
use crate::geo::trie::{Shape, TRIE_CLASSES_MAX, Trie};

/// Clients divided into classes that are treated alike: one merged prefix tree for each family.
#[derive(Clone, Debug)]
pub struct Partition {
    v4: Trie,
    v6: Trie,
}

/// Every class is below this. The next ones stand for the kinds of IPv4 within IPv6.
pub const CLASSES_MAX: u32 = TRIE_CLASSES_MAX - EMBEDDINGS.len() as u32;

impl Partition {
    /// From runs of addresses: each family's begin at address 0 and are sorted; each has the class of all
    /// addresses up to the next. Neighbours may have the same class. What the runs of IPv6 say of addresses
    /// that hold an IPv4 address does not count.
    ///
    /// # Panics
    ///
    /// If a family has no run, or a class is not below [`CLASSES_MAX`].
    pub fn compile(
        v4: impl IntoIterator<Item = (u32, u32)>,
        v6: impl IntoIterator<Item = (u128, u32)>,
    ) -> Self {
        let v4: Vec<_> = merged(v4).map(|(first, class)| (u128::from(first) << 96, class)).collect();
        let of_all_v4 = (v4.len() == 1).then(|| v4[0].1);
        let v6 = v6.into_iter().inspect(|run| assert!(run.1 < CLASSES_MAX, "fewer classes than CLASSES_MAX"));
        let v6: Vec<_> = merged(with_embeddings(v6, of_all_v4)).collect();
        Self { v4: Trie::compile(&v4, V4_SHAPE), v6: Trie::compile(&v6, V6_SHAPE) }
    }

    /// All clients are in class 0.
    pub fn trivial() -> Self {
        Self::compile([(0, 0)], [(0, 0)])
    }

    /// The class of a client, and the scope: the length of the widest prefix around it in which every client
    /// has that class. One lookup, two for IPv4 within IPv6.
    #[inline]
    pub fn find(&self, client: IpAddr) -> (u32, u8) {
        match client {
            IpAddr::V4(address) => self.find_v4(address),
            IpAddr::V6(address) => self.find_v6(address),
        }
    }

    /// Every prefix and its class, IPv4 first, in the order of addresses. The prefixes of IPv4 within IPv6
    /// are left out, as they follow from IPv4's; unless all of IPv4 has one class: then they are part of the
    /// IPv6 around them.
    pub fn prefixes(&self) -> impl Iterator<Item = (IpNet, u32)> {
        let leaf = |first: IpAddr| {
            let (class, scope) = match first {
                IpAddr::V4(address) => self.find_v4(address),
                IpAddr::V6(address) => self.leaf_v6(address),
            };
            (IpNet::new(first, scope).expect("a scope is no longer than an address"), class)
        };
        let all = move |first: IpAddr| successors(Some(leaf(first)), move |(net, _)| after(*net).map(leaf));
        all(Ipv4Addr::UNSPECIFIED.into())
            .chain(all(Ipv6Addr::UNSPECIFIED.into()))
            .filter(|(_, class)| *class < CLASSES_MAX)
    }

    /// What it keeps, in bytes.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.v4.bytes() + self.v6.bytes()
    }

    #[inline]
    fn find_v4(&self, address: Ipv4Addr) -> (u32, u8) {
        self.v4.find(u64::from(address.to_bits()) << 32, 0)
    }

    #[inline]
    fn find_v6(&self, address: Ipv6Addr) -> (u32, u8) {
        let leaf = self.leaf_v6(address);
        match leaf.0.checked_sub(CLASSES_MAX) {
            None => leaf,
            Some(kind) => {
                let embedding = EMBEDDINGS[kind as usize];
                let (class, scope) = self.find_v4(embedding.inner(address));
                (class, scope + embedding.moved)
            }
        }
    }

    /// As [`Partition::find_v6`], but with the kinds of IPv4 within IPv6 as classes.
    #[inline]
    fn leaf_v6(&self, address: Ipv6Addr) -> (u32, u8) {
        let bits = address.to_bits();
        self.v6.find((bits >> 64) as u64, bits as u64)
    }
}

/// The address after a prefix, if there is one.
fn after(net: IpNet) -> Option<IpAddr> {
    match net.broadcast() {
        IpAddr::V4(last) => Some(Ipv4Addr::from_bits(last.to_bits().checked_add(1)?).into()),
        IpAddr::V6(last) => Some(Ipv6Addr::from_bits(last.to_bits().checked_add(1)?).into()),
    }
}

/// Runs without those that only go on with the class before them.
fn merged<A>(runs: impl IntoIterator<Item = (A, u32)>) -> impl Iterator<Item = (A, u32)> {
    let mut before = None;
    runs.into_iter().filter(move |(_, class)| before.replace(*class) != Some(*class))
}

/// Lays the addresses that hold an IPv4 address over the runs of IPv6: each kind in a class of its own, or in
/// the class of all IPv4 if there is only one.
fn with_embeddings(
    v6: impl Iterator<Item = (u128, u32)>,
    of_all_v4: Option<u32>,
) -> impl Iterator<Item = (u128, u32)> {
    let mut edges = Vec::with_capacity(2 * EMBEDDINGS.len());
    for (kind, embedding) in (CLASSES_MAX..).zip(EMBEDDINGS) {
        edges.push((embedding.prefix.network().to_bits(), Some(of_all_v4.unwrap_or(kind))));
        edges.push((embedding.prefix.broadcast().to_bits() + 1, None));
    }
    edges.sort();
    let (mut runs, mut edges) = (v6.peekable(), edges.into_iter().peekable());
    let (mut under, mut over) = (0, None);
    std::iter::from_fn(move || {
        let next_run = runs.peek().map(|run| run.0);
        let next_edge = edges.peek().map(|edge| edge.0);
        let at = next_run.into_iter().chain(next_edge).min()?;
        under = runs.next_if(|run| run.0 == at).map_or(under, |run| run.1);
        over = edges.next_if(|edge| edge.0 == at).map_or(over, |edge| edge.1);
        Some((at, over.unwrap_or(under)))
    })
}

/// IPv4 is full: with a million networks the first table divides it down to /24, and one step is enough.
const V4_SHAPE: Shape = Shape { directory_bits: 0, runs_per_node: 1 };

/// IPv6 crowds into the blocks of the registries, most of which are /12.
const V6_SHAPE: Shape = Shape { directory_bits: 12, runs_per_node: 16 };

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_class_for_all_is_one_prefix_of_length_zero_in_each_family() {
        let partition = Partition::trivial();
        for client in ["192.0.2.1", "255.255.255.255", "2001:db8::1", "2002:c000:201::", "::ffff:192.0.2.1"] {
            assert_eq!(find(&partition, client), (0, 0), "{client}");
        }
        assert_eq!(listed(&partition), ["0.0.0.0/0 0", "::/0 0"]);
        assert!(partition.bytes() < 200);
    }

    #[test]
    fn neighbours_of_one_class_are_one_prefix() {
        let partition =
            partition(&[("0.0.0.0", 0), ("10.0.0.0", 1), ("10.128.0.0", 1), ("12.0.0.0", 0)], &[]);
        assert_eq!(find(&partition, "10.1.2.3"), (1, 7));
        assert_eq!(find(&partition, "11.0.0.1"), (1, 7));
        assert_eq!(find(&partition, "9.0.0.0"), (0, 7));
        assert_eq!(find(&partition, "192.0.2.1"), (0, 1));
    }

    #[test]
    fn a_single_address_narrows_the_scope_of_its_neighbours() {
        let v4 = [("0.0.0.0", 0), ("10.1.0.0", 1), ("10.1.2.3", 2), ("10.1.2.4", 1), ("10.2.0.0", 0)];
        let partition = partition(&v4, &[]);
        assert_eq!(find(&partition, "10.1.2.3"), (2, 32));
        assert_eq!(find(&partition, "10.1.2.2"), (1, 32));
        assert_eq!(find(&partition, "10.1.128.0"), (1, 17));
        assert_eq!(find(&partition, "10.128.0.0"), (0, 9));
    }

    #[test]
    fn the_ends_of_the_address_space_are_in_it() {
        let last = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
        let partition = partition(
            &[("0.0.0.0", 1), ("0.0.0.1", 0), ("255.255.255.255", 2)],
            &[("::", 1), ("::1", 0), (last, 2)],
        );
        assert_eq!(find(&partition, "0.0.0.0"), (1, 32));
        assert_eq!(find(&partition, "255.255.255.255"), (2, 32));
        assert_eq!(find(&partition, "::"), (1, 128));
        assert_eq!(find(&partition, "::1"), (0, 128));
        assert_eq!(find(&partition, last), (2, 128));
        assert_eq!(find(&partition, "8000::"), (0, 2));
    }

    #[test]
    fn ipv4_within_ipv6_is_looked_up_as_ipv4_whatever_the_runs_of_ipv6_say() {
        let v4 = [("0.0.0.0", 0), ("192.0.2.0", 1), ("192.0.3.0", 0)];
        let partition = partition(&v4, &[("::", 2), ("2002:c000:200::", 3), ("2002:c000:300::", 2)]);
        for (client, scope) in [
            ("::ffff:192.0.2.1", 96 + 24),
            ("64:ff9b::192.0.2.1", 96 + 24),
            ("2002:c000:201::1", 16 + 24),
            ("2001:0:4136:e378:8000:63bf:3fff:fdd2", 96 + 24),
        ] {
            assert_eq!(find(&partition, client), (1, scope), "{client}");
        }
        assert_eq!(find(&partition, "2003::"), (2, 16), "6to4 is beside it");
        assert_eq!(find(&partition, "2001:1::"), (2, 32), "Teredo is beside it");
        assert_eq!(find(&partition, "::1"), (2, 81), "mapped addresses are near it");
    }

    #[test]
    fn ipv4_of_one_class_is_part_of_the_ipv6_around_it() {
        let partition = partition(&[], &[("::", 0), ("2001::", 5), ("2002::", 0), ("8000::", 1)]);
        assert_eq!(find(&partition, "2002:c000:201::1"), (0, 15));
        assert_eq!(find(&partition, "2003::"), (0, 15));
        assert_eq!(find(&partition, "2001::1"), (0, 32), "Teredo is IPv4");
        assert_eq!(find(&partition, "2001:1::"), (5, 32));
    }

    #[test]
    #[should_panic = "fewer classes"]
    fn a_class_that_stands_for_ipv4_within_ipv6_is_refused() {
        Partition::compile([(0, 0)], [(0, CLASSES_MAX)]);
    }

    fn partition(v4: &[(&str, u32)], v6: &[(&str, u32)]) -> Partition {
        let v4 = v4.iter().map(|(first, class)| (first.parse::<Ipv4Addr>().unwrap().to_bits(), *class));
        let v6 = v6.iter().map(|(first, class)| (first.parse::<Ipv6Addr>().unwrap().to_bits(), *class));
        let (v4, v6) = ([(0, 0)].into_iter().chain(v4), [(0, 0)].into_iter().chain(v6));
        Partition::compile(BTreeMap::from_iter(v4), BTreeMap::from_iter(v6))
    }

    fn find(partition: &Partition, client: &str) -> (u32, u8) {
        partition.find(client.parse().unwrap())
    }

    fn listed(partition: &Partition) -> Vec<String> {
        partition.prefixes().map(|(net, class)| format!("{net} {class}")).collect()
    }

    /// The slow and obvious way: where classes change, and which one an address then has.
    #[derive(Debug)]
    struct Reference {
        v4: BTreeMap<u32, u32>,
        v6: BTreeMap<u128, u32>,
    }

    impl Reference {
        fn class_of(&self, client: IpAddr) -> u32 {
            let embedding = |address| EMBEDDINGS.into_iter().find(|kind| kind.prefix.contains(address));
            let class = match client {
                IpAddr::V4(address) => self.v4.range(..=address.to_bits()).next_back().map(|run| run.1),
                IpAddr::V6(address) => match embedding(&address) {
                    Some(kind) => return self.class_of(kind.inner(address).into()),
                    None => self.v6.range(..=address.to_bits()).next_back().map(|run| run.1),
                },
            };
            *class.expect("runs begin at 0")
        }

        /// Whether all clients of a prefix have one class: looks at both sides of every address at which the
        /// class might change.
        fn uniform(&self, net: IpNet) -> bool {
            let class = self.class_of(net.network());
            let edges: Vec<IpAddr> = match net {
                IpNet::V4(_) => self.v4.keys().map(|edge| Ipv4Addr::from_bits(*edge).into()).collect(),
                IpNet::V6(net) => self.edges_v6(net.network().to_bits()),
            };
            let sides = edges.into_iter().flat_map(|edge| [Some(edge), before(edge)]).flatten();
            sides.filter(|side| net.contains(side)).all(|side| self.class_of(side) == class)
        }

        /// Where the class might change in a prefix that begins at `first`. Bits between the prefix and a
        /// Teredo client's address may be any: they are those of `first`.
        fn edges_v6(&self, first: u128) -> Vec<IpAddr> {
            let mut edges: Vec<u128> = self.v6.keys().copied().collect();
            for kind in EMBEDDINGS {
                let (begin, last) = (kind.prefix.network().to_bits(), kind.prefix.broadcast().to_bits());
                edges.extend([begin, last + 1]);
                let moved = 96 - u32::from(kind.moved);
                let around = first.clamp(begin, last) & !(u128::from(u32::MAX) << moved);
                for edge in self
                    .v4
                    .keys()
                    .flat_map(|edge| [*edge, !*edge, edge.wrapping_sub(1), !edge.wrapping_sub(1)])
                {
                    edges.push(around | u128::from(edge) << moved);
                }
            }
            edges.into_iter().map(|edge| Ipv6Addr::from_bits(edge).into()).collect()
        }
    }

    fn before(address: IpAddr) -> Option<IpAddr> {
        match address {
            IpAddr::V4(address) => Some(Ipv4Addr::from_bits(address.to_bits().checked_sub(1)?).into()),
            IpAddr::V6(address) => Some(Ipv6Addr::from_bits(address.to_bits().checked_sub(1)?).into()),
        }
    }

    /// Addresses that crowd: near one another at every depth, and at the ends of prefixes.
    fn v4() -> impl Strategy<Value = u32> {
        let base = prop_oneof![Just(0), Just(0xc000_0200), Just(0x0a00_0000), Just(u32::MAX), any::<u32>()];
        (base, any::<u32>(), 0..=32u32, any::<bool>()).prop_map(|(base, chance, length, aligned)| {
            let rest = u32::MAX.checked_shr(length).unwrap_or(0);
            if aligned { base.wrapping_add(chance & 3) & !(rest >> 2) } else { base ^ chance & rest }
        })
    }

    /// The same, and around and within the addresses that hold IPv4 ones.
    fn v6() -> impl Strategy<Value = u128> {
        let embedded =
            (prop::sample::select(EMBEDDINGS.to_vec()), v4(), any::<u64>()).prop_map(|(kind, v4, low)| {
                let begin = kind.prefix.network().to_bits();
                let client = u128::from(v4) << (96 - u32::from(kind.moved));
                let beyond = kind.prefix.broadcast().to_bits() + 1;
                [
                    begin,
                    begin | client,
                    begin | !client & 0xffff_ffff,
                    beyond,
                    begin - 1,
                    beyond + u128::from(low),
                ][low as usize % 6]
            });
        let base = prop_oneof![Just(0), Just(0x2001_0db8 << 96), Just(u128::MAX), any::<u128>(), embedded];
        (base, any::<u128>(), 0..=128u32, any::<bool>()).prop_map(|(base, chance, length, aligned)| {
            let rest = u128::MAX.checked_shr(length).unwrap_or(0);
            if aligned { base.wrapping_add(chance & 3) & !(rest >> 2) } else { base ^ chance & rest }
        })
    }

    /// Up to `most` changes of class in each family; often none at all in one of them.
    fn reference(most: usize) -> impl Strategy<Value = Reference> {
        let changes = |most| prop_oneof![0..=1usize, 0..=most];
        (changes(most), changes(most))
            .prop_flat_map(|(most_v4, most_v6)| {
                let v4 = prop::collection::btree_map(v4(), 0..3u32, 0..=most_v4);
                let v6 = prop::collection::btree_map(v6(), 0..3u32, 0..=most_v6);
                (v4, v6, 0..3u32, 0..3u32)
            })
            .prop_map(|(mut v4, mut v6, rest_v4, rest_v6)| {
                v4.entry(0).or_insert(rest_v4);
                v6.entry(0).or_insert(rest_v6);
                Reference { v4, v6 }
            })
    }

    fn client() -> impl Strategy<Value = IpAddr> {
        prop_oneof![
            v4().prop_map(|bits| Ipv4Addr::from_bits(bits).into()),
            v6().prop_map(|bits| Ipv6Addr::from_bits(bits).into()),
        ]
    }

    fn checked(reference: &Reference, partition: &Partition, client: IpAddr) -> Result<(), TestCaseError> {
        let (class, scope) = partition.find(client);
        prop_assert_eq!(class, reference.class_of(client), "{}", client);
        let net = |length| IpNet::new(client, length).unwrap().trunc();
        prop_assert!(reference.uniform(net(scope)), "{}/{} is too wide", client, scope);
        if scope > 0 {
            prop_assert!(!reference.uniform(net(scope - 1)), "{}/{} is too narrow", client, scope);
        }
        Ok(())
    }

    /// The IPv4 within IPv6 that begins at an address: nothing else may be left out of a list.
    fn embedding_at(first: IpAddr) -> IpNet {
        let kind = EMBEDDINGS.into_iter().find(|kind| IpAddr::from(kind.prefix.network()) == first);
        kind.expect("only IPv4 within IPv6 is left out").prefix.into()
    }

    fn compiled(reference: &Reference) -> Partition {
        Partition::compile(reference.v4.clone(), reference.v6.clone())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_500))]

        /// With eight clients a partition: 12,000 cases, and both sides of every change of class.
        #[test]
        fn the_class_is_right_and_the_scope_is_exact_and_minimal(
            reference in reference(12),
            clients in prop::collection::vec(client(), 8),
        ) {
            let partition = compiled(&reference);
            let v4 = reference.v4.keys().map(|bits| Ipv4Addr::from_bits(*bits).into());
            let v6 = reference.v6.keys().map(|bits| Ipv6Addr::from_bits(*bits).into());
            let edges = v4.chain(v6).flat_map(|edge| [Some(edge), before(edge)]).flatten();
            for client in clients.into_iter().chain(edges) {
                checked(&reference, &partition, client)?;
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(30))]

        #[test]
        fn so_it_is_with_thousands_of_runs(
            reference in reference(3_000),
            clients in prop::collection::vec(client(), 30),
        ) {
            let partition = compiled(&reference);
            for client in clients {
                checked(&reference, &partition, client)?;
            }
        }

        #[test]
        fn the_prefixes_cover_each_family_once_and_say_what_a_lookup_says(reference in reference(60)) {
            let partition = compiled(&reference);
            let mut next = Some(Ipv4Addr::UNSPECIFIED.into());
            for (net, class) in partition.prefixes() {
                prop_assert_eq!(partition.find(net.network()), (class, net.prefix_len()));
                let mut expected = next.unwrap_or(Ipv6Addr::UNSPECIFIED.into());
                while expected != net.network() {
                    expected = after(embedding_at(expected)).expect("none of them is at the end");
                }
                next = after(net);
            }
            prop_assert_eq!(next, None);
        }
    }
}

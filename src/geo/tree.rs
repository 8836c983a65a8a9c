//! A merged prefix tree, flattened: address -> (value, depth of the match).
//!
//! ```text
//!   prefixes, the longest wins       runs of equal value        leaves: the largest aligned blocks
//!   0.0.0.0/0 a                      0.0.0.0    a               0.0.0.0/5    a
//!   10.0.0.0/8 b          sweep ->   10.0.0.0   b    split ->   8.0.0.0/7    a
//!   10.0.0.0/9 b                     11.0.0.0   a               10.0.0.0/8   b
//!                                                               11.0.0.0/8   a  ...
//! ```
//!
//! No tree is ever built. Sweeping over the sorted prefixes gives the runs of addresses that share a
//! value; cutting a run into the largest aligned blocks that fit gives exactly the leaves that a prefix
//! tree has once equal siblings are merged. A block could only be widened by taking in an address of
//! another value, so its length is the shortest scope that is true.
//!
//! A lookup takes the first 16 bits as an index, which leaves a handful of blocks to search.

use std::net::IpAddr;

use ipnet::IpNet;

/// One family's addresses, each in exactly one leaf with a value of type `T`.
#[derive(Clone, Debug)]
pub struct Tree<A, T> {
    /// In the order of their first addresses, the first of which is 0.
    leaves: Vec<Leaf<A, T>>,
    /// For each value of the first 16 bits, the leaf that its lowest address is in; and the last leaf.
    index: Vec<u32>,
}

/// The end of a path through the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf<A, T> {
    /// Its first address.
    pub first: A,
    /// Length of the prefix that is this leaf: the scope of the value.
    pub depth: u8,
    /// What all its addresses have.
    pub value: T,
}

/// The addresses of one family as numbers.
pub trait Address: Copy + Ord {
    /// The address that a left-aligned number begins with.
    fn from_left_aligned(bits: u128) -> Self;

    /// Its first 16 bits.
    fn bucket(self) -> usize;
}

impl Address for u32 {
    fn from_left_aligned(bits: u128) -> Self {
        (bits >> 96) as u32
    }

    #[inline]
    fn bucket(self) -> usize {
        (self >> (32 - INDEX_BITS)) as usize
    }
}

impl Address for u128 {
    fn from_left_aligned(bits: u128) -> Self {
        bits
    }

    #[inline]
    fn bucket(self) -> usize {
        (self >> (128 - INDEX_BITS)) as usize
    }
}

/// A prefix of either family: its bits, left-aligned so that both families compile alike; those beyond
/// `len` are 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Prefix {
    bits: u128,
    len: u8,
}

impl<A: Address, T: Copy + Eq> Tree<A, T> {
    /// Compiles prefixes: the longest that holds an address decides, of equal ones the later; addresses
    /// in none of them have the value `rest`.
    pub fn compile(mut prefixes: Vec<(Prefix, T)>, rest: T) -> Self {
        prefixes.sort_by_key(|(prefix, _)| *prefix);
        let runs = runs(&prefixes, rest);
        let mut leaves = Vec::new();
        for (position, &(first, value)) in runs.iter().enumerate() {
            let last = runs.get(position + 1).map_or(u128::MAX, |next| next.0 - 1);
            for Prefix { bits, len } in blocks(first, last) {
                leaves.push(Leaf { first: A::from_left_aligned(bits), depth: len, value });
            }
        }
        Self { index: index(&leaves), leaves }
    }

    /// The leaf that an address is in.
    #[inline]
    pub fn find(&self, address: A) -> Leaf<A, T> {
        let bucket = address.bucket();
        let (low, high) = (self.index[bucket] as usize, self.index[bucket + 1] as usize);
        let after = self.leaves[low..=high].partition_point(|leaf| leaf.first <= address);
        self.leaves[low + after - 1]
    }

    /// How many leaves it has.
    pub fn len(&self) -> usize {
        self.leaves.len()
    }

    /// Never: there is always a leaf.
    pub fn is_empty(&self) -> bool {
        self.leaves.is_empty()
    }
}

impl Prefix {
    fn last(self) -> u128 {
        self.bits | u128::MAX.checked_shr(self.len.into()).unwrap_or(0)
    }
}

impl From<IpNet> for Prefix {
    fn from(net: IpNet) -> Self {
        let bits = match net.network() {
            IpAddr::V4(v4) => u128::from(v4.to_bits()) << 96,
            IpAddr::V6(v6) => v6.to_bits(),
        };
        Self { bits, len: net.prefix_len() }
    }
}

/// The first address and the value of each run of addresses that share a value. `prefixes` are sorted,
/// so that those around an address are open, the longest on top, when the sweep comes to it.
fn runs<T: Copy + Eq>(prefixes: &[(Prefix, T)], rest: T) -> Vec<(u128, T)> {
    let mut runs = vec![(0, rest)];
    let mut open = vec![(u128::MAX, rest)];
    for &(prefix, value) in prefixes {
        close_before(prefix.bits, &mut open, &mut runs);
        begin(prefix.bits, value, &mut runs);
        open.push((prefix.last(), value));
    }
    close_before(u128::MAX, &mut open, &mut runs);
    runs
}

/// Ends the open prefixes that do not reach `address`; what is around each of them goes on after it.
fn close_before<T: Copy + Eq>(address: u128, open: &mut Vec<(u128, T)>, runs: &mut Vec<(u128, T)>) {
    while let [.., (_, around), (last, _)] = open[..]
        && last < address
    {
        begin(last + 1, around, runs);
        open.pop();
    }
}

/// Lets a value begin at an address: instead of what was to begin there, and only if it differs from
/// the value before.
fn begin<T: Copy + Eq>(address: u128, value: T, runs: &mut Vec<(u128, T)>) {
    runs.pop_if(|run| run.0 == address);
    if runs.last().is_none_or(|before| before.1 != value) {
        runs.push((address, value));
    }
}

/// The largest aligned blocks that make up the run from `first` to `last`.
fn blocks(first: u128, last: u128) -> impl Iterator<Item = Prefix> {
    let mut next = Some(first);
    std::iter::from_fn(move || {
        let first = next?;
        let fits = (last - first).checked_add(1).map_or(128, u128::ilog2);
        let block = Prefix { bits: first, len: (128 - fits.min(first.trailing_zeros())) as u8 };
        next = block.last().checked_add(1).filter(|next| *next <= last);
        Some(block)
    })
}

/// For each value of the first bits, the last leaf that starts at or before its lowest address.
fn index<A: Address, T>(leaves: &[Leaf<A, T>]) -> Vec<u32> {
    let mut index: Vec<u32> = Vec::with_capacity((1 << INDEX_BITS) + 1);
    let mut leaf = 0;
    for bucket in 0..1u128 << INDEX_BITS {
        let lowest = A::from_left_aligned(bucket << (128 - INDEX_BITS));
        while leaves.get(leaf + 1).is_some_and(|next| next.first <= lowest) {
            leaf += 1;
        }
        index.push(leaf as u32);
    }
    index.push((leaves.len() - 1) as u32);
    index
}

/// How many bits of an address the index takes: 16 make 256 KiB a tree, which stays in the cache.
const INDEX_BITS: u32 = 16;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tree(prefixes: &[(&str, char)]) -> Tree<u128, char> {
        let parsed = prefixes.iter().map(|(net, value)| {
            (Prefix::from(net.parse::<IpNet>().expect("a test writes good prefixes")), *value)
        });
        Tree::compile(parsed.collect(), '-')
    }

    fn find(tree: &Tree<u128, char>, address: &str) -> (char, u8) {
        let host: IpAddr = address.parse().expect("a test writes good addresses");
        let leaf = tree.find(Prefix::from(IpNet::from(host)).bits);
        (leaf.value, leaf.depth)
    }

    #[test]
    fn one_value_for_all_is_one_leaf_of_depth_zero() {
        let tree = tree(&[("10.0.0.0/8", '-'), ("0.0.0.0/0", '-'), ("255.255.255.255/32", '-')]);
        assert_eq!(tree.len(), 1);
        assert_eq!(find(&tree, "10.1.2.3"), ('-', 0));
        assert_eq!(find(&tree, "255.255.255.255"), ('-', 0));
    }

    #[test]
    fn the_longest_prefix_decides() {
        let tree = tree(&[("10.1.0.0/16", 'b'), ("10.0.0.0/8", 'a'), ("10.1.2.3/32", 'c')]);
        assert_eq!(find(&tree, "10.1.2.3"), ('c', 32));
        assert_eq!(find(&tree, "10.1.2.2"), ('b', 32));
        assert_eq!(find(&tree, "10.1.128.0"), ('b', 17));
        assert_eq!(find(&tree, "10.128.0.0"), ('a', 9));
        assert_eq!(find(&tree, "192.0.2.1"), ('-', 1));
    }

    #[test]
    fn equal_siblings_are_one_leaf() {
        let tree = tree(&[("10.0.0.0/9", 'a'), ("10.128.0.0/9", 'a'), ("11.0.0.0/8", 'a')]);
        assert_eq!(find(&tree, "10.200.0.1"), ('a', 7));
        assert_eq!(find(&tree, "11.0.0.1"), ('a', 7));
    }

    #[test]
    fn of_equal_prefixes_the_later_decides() {
        assert_eq!(find(&tree(&[("10.0.0.0/8", 'a'), ("10.0.0.0/8", 'b')]), "10.0.0.1"), ('b', 8));
        assert_eq!(find(&tree(&[("0.0.0.0/0", 'a'), ("0.0.0.0/0", 'b')]), "10.0.0.1"), ('b', 0));
    }

    #[test]
    fn the_ends_of_the_address_space_are_in_it() {
        let tree = tree(&[("::/128", 'a'), ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128", 'b')]);
        assert_eq!(find(&tree, "::"), ('a', 128));
        assert_eq!(find(&tree, "::1"), ('-', 128));
        assert_eq!(find(&tree, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), ('b', 128));
        assert_eq!(find(&tree, "8000::"), ('-', 2));
    }

    /// The slow and obvious way: look at every prefix.
    fn value_of(prefixes: &[(Prefix, u8)], address: u128) -> u8 {
        let holding = prefixes.iter().filter(|(prefix, _)| (prefix.bits..=prefix.last()).contains(&address));
        holding.max_by_key(|(prefix, _)| prefix.len).map_or(REST, |(_, value)| *value)
    }

    /// Whether all addresses of a block have one value: the value can only change where a prefix begins
    /// or has ended.
    fn uniform(prefixes: &[(Prefix, u8)], block: Prefix) -> bool {
        let edges = prefixes.iter().flat_map(|(prefix, _)| [Some(prefix.bits), prefix.last().checked_add(1)]);
        let inside = edges.flatten().filter(|edge| (block.bits..=block.last()).contains(edge));
        let value = value_of(prefixes, block.bits);
        inside.into_iter().all(|edge| value_of(prefixes, edge) == value)
    }

    fn prefix(address: u128, len: u8) -> Prefix {
        Prefix { bits: address & !u128::MAX.checked_shr(len.into()).unwrap_or(0), len }
    }

    /// Prefixes that nest, touch and repeat: a few bits in a few places of the address.
    fn prefixes(width: u8) -> impl Strategy<Value = Vec<(Prefix, u8)>> {
        let one = (address(), 0..=width, 0..3u8).prop_map(|(bits, len, value)| (prefix(bits, len), value));
        proptest::collection::vec(one, 0..12)
    }

    fn address() -> impl Strategy<Value = u128> {
        (0..4u128, 0..8u128, 0..4u128, prop_oneof![Just(0), Just(u128::MAX >> 20), any::<u128>()])
            .prop_map(|(a, b, c, low)| a << 126 | b << 110 | c << 96 | (low & (u128::MAX >> 34)))
    }

    const REST: u8 = 0;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_250))]

        /// With eight addresses a tree: 10,000 cases.
        #[test]
        fn the_value_is_right_and_the_depth_is_exact_and_minimal(
            prefixes in prop_oneof![prefixes(32), prefixes(128)],
            addresses in proptest::collection::vec(address(), 8),
        ) {
            let tree: Tree<u128, u8> = Tree::compile(prefixes.clone(), REST);
            for address in addresses {
                let leaf = tree.find(address);
                prop_assert_eq!(leaf.value, value_of(&prefixes, address));
                prop_assert!(uniform(&prefixes, prefix(address, leaf.depth)));
                if leaf.depth > 0 {
                    prop_assert!(!uniform(&prefixes, prefix(address, leaf.depth - 1)));
                }
            }
        }
    }
}

//! A merged prefix tree in one array: address -> class, and the depth of the match.
//!
//! ```text
//!   table, 4 words               nodes, 3 words each            entries, 1 word each
//!   class before, depth          a bit for each of its 64       a leaf: class, scope
//!   class after, shift           blocks that does not go   -->  or the table for
//!   prefix (2 words)        -->  on with the entry before       what is in the block
//! ```
//!
//! A table divides the smallest prefix that holds every change of class in its block. Addresses of the block
//! that are outside of it have the class before the first change or after the last. Inside it has as many
//! nodes as its runs need, of 64 blocks each; blocks in a row that have the same entry share it. So a lookup
//! takes one step where networks are spread (IPv4), and two or three where they crowd (IPv6), however long
//! their prefixes are.
//!
//! The nodes and the entries of a table come right after it: what a step reads is together. An address is 64
//! bits at a time, which is all of IPv4 and the network of IPv6; no table reaches from the first half into
//! the second.

use std::ops::Range;

/// Where a run of addresses begins, and the class that they have up to the next run. IPv4 addresses are the
/// first bits of the 128.
pub(super) type Run = (u128, u32);

/// Every class is below this, as it shares a word with a scope.
pub(super) const TRIE_CLASSES_MAX: u32 = 1 << 23;

/// The addresses of one family, each of which has a class.
#[derive(Clone, Debug)]
pub(super) struct Trie {
    root: Entry,
    words: Vec<u32>,
}

/// A class and a scope in the last 8 bits; or, with [`NESTED`], the place of a table.
type Entry = u32;

impl Trie {
    /// From runs in the order of addresses, the first of which begins at 0, no two neighbours of one class.
    ///
    /// The nodes of the first table are one to so many runs: few where the runs are spread over all
    /// addresses, many where they crowd.
    ///
    /// # Panics
    ///
    /// If there is no run, or a class that is too high.
    pub(super) fn compile(runs: &[Run], runs_per_node: usize) -> Self {
        assert!(runs.iter().all(|run| run.1 < TRIE_CLASSES_MAX), "fewer classes than fit an entry");
        let mut trie = Self { root: NESTED, words: Vec::new() };
        trie.root = match runs {
            [(_, class)] => class << SCOPE_BITS,
            _ => trie.add_table(runs, 1..runs.len(), HALF, runs_per_node),
        };
        trie.words.shrink_to_fit();
        trie
    }

    /// The class of an address and its [`scope`]. Of an IPv4 address the 64 bits of the first half begin with
    /// it.
    #[inline]
    pub(super) fn find(&self, first_half: u64, second_half: u64) -> (u32, u8) {
        let mut entry = self.root;
        while entry & NESTED != 0 {
            let table = (entry & !NESTED) as usize;
            let [before, after, high, low] = self.read(table);
            let (depth, prefix) = (before & 0xff, u64::from(high) << 32 | u64::from(low));
            let address = if depth < HALF { first_half } else { second_half };
            let differs = address ^ prefix;
            if differs.leading_zeros() < depth % HALF {
                let class = if address < prefix { before } else { after } >> SCOPE_BITS;
                return (class, (depth / HALF * HALF + differs.leading_zeros() + 1) as u8);
            }
            let block = address << (depth % HALF) >> (after & 0xff);
            let [bits_high, bits_low, entries] =
                self.read(table + TABLE_WORDS + NODE_WORDS * (block >> NODE_BITS) as usize);
            let up_to_it = (u64::from(bits_high) << 32 | u64::from(bits_low)) << (!block % BLOCKS);
            entry = self.words[entries as usize + up_to_it.count_ones() as usize - 1];
        }
        (entry >> SCOPE_BITS, entry as u8)
    }

    /// What it keeps, in bytes.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.words)
    }

    #[inline]
    fn read<const N: usize>(&self, at: usize) -> [u32; N] {
        *self.words[at..].first_chunk().expect("tables and nodes are whole")
    }

    /// Adds the table of a block in which some runs begin, after its first address, and returns the entry for
    /// it. No table for a block of the first half goes beyond `end`.
    fn add_table(&mut self, runs: &[Run], inside: Range<usize>, end: u32, runs_per_node: usize) -> Entry {
        let (first, last) = (runs[inside.start].0, runs[inside.end - 1].0);
        let depth = ((first - 1) ^ last).leading_zeros().min(end - 1);
        let wanted = (inside.len() / runs_per_node).max(1).ilog2();
        let node_bits = wanted.min(NODE_BITS_MAX).min(end.saturating_sub(depth + NODE_BITS));
        let table = self.words.len();
        let prefix = (last >> (128 - end)) as u64;
        let (before, after) = (runs[inside.start - 1].1, runs[inside.end - 1].1);
        self.words.extend([
            before << SCOPE_BITS | depth,
            after << SCOPE_BITS | (HALF - node_bits - NODE_BITS),
            (prefix >> 32) as u32,
            prefix as u32,
        ]);
        self.words.resize(self.words.len() + (NODE_WORDS << node_bits), 0);

        let mut filling = Filling {
            runs,
            at: last & !rest(depth),
            inside,
            depth: (depth + node_bits + NODE_BITS).min(end),
            virtual_bits: (depth + node_bits + NODE_BITS).saturating_sub(end),
            crowded: Vec::new(),
        };
        for node in 0..1 << node_bits {
            let at = table + TABLE_WORDS + NODE_WORDS * node;
            let words = filling.node(&mut self.words);
            self.words[at..at + NODE_WORDS].copy_from_slice(&words);
        }
        let end = if filling.depth < HALF { HALF } else { 2 * HALF };
        for (entry, inside) in filling.crowded {
            self.words[entry] = self.add_table(runs, inside, end, RUNS_PER_NODE);
        }
        NESTED | position(table)
    }
}

/// The nodes of a table in the making: goes over its blocks.
struct Filling<'r> {
    runs: &'r [Run],
    /// The first address of the next block.
    at: u128,
    /// The runs that begin in the blocks to come.
    inside: Range<usize>,
    /// Length of the prefix that a block is.
    depth: u32,
    /// Bits by which blocks would be longer than an address: so many of the bits that choose one are always
    /// 0.
    virtual_bits: u32,
    /// Entries whose blocks need a table, and the runs that begin inside.
    crowded: Vec<(usize, Range<usize>)>,
}

impl Filling<'_> {
    /// Fills a node, with its entries at the end of `words`.
    fn node(&mut self, words: &mut Vec<u32>) -> [u32; NODE_WORDS] {
        let entries = words.len();
        let mut bits = 0u64;
        let mut block = 0;
        while block < BLOCKS {
            let inside = self.inside_block();
            let mut alike = 0;
            if inside.is_empty() {
                let leaf = leaf(self.runs, self.at, inside.start);
                alike = self.depth.saturating_sub(leaf & 0xff).min(NODE_BITS);
                if words.len() == entries || words.last() != Some(&leaf) {
                    bits |= 1 << block;
                    words.push(leaf);
                }
            } else {
                bits |= 1 << block;
                self.crowded.push((words.len(), inside));
                words.push(NESTED);
            }
            block += 1 << (alike + self.virtual_bits);
            self.at = self.at.wrapping_add(1 << (128 - self.depth + alike));
        }
        [(bits >> 32) as u32, bits as u32, position(entries)]
    }

    /// The runs that begin in the next block after its first address.
    fn inside_block(&mut self) -> Range<usize> {
        let begin = |this: &Self, until: u128| {
            let coming = &this.runs[this.inside.clone()];
            this.inside.start + coming.iter().take_while(|run| run.0 <= until).count()
        };
        self.inside.start = begin(self, self.at);
        let end = begin(self, self.at | rest(self.depth));
        let inside = self.inside.start..end;
        self.inside.start = end;
        inside
    }
}

/// The entry of a block that is within one run; `next` is the one after that.
fn leaf(runs: &[Run], block: u128, next: usize) -> Entry {
    let (first, class) = runs[next - 1];
    let after = runs.get(next).map_or(0, |run| run.0);
    class << SCOPE_BITS | u32::from(scope(block, first, after))
}

/// The length of the widest prefix around an address that stays within its run, which begins at `first`; the
/// next one begins at `next`, and there is another.
///
/// A prefix stays within as long as it holds neither the address before the run nor the one after it: it must
/// be one bit longer than what the address shares with either. Addresses are seen as a ring here: before the
/// first comes the last. That is true enough, as what ends a run on its other side is nearer to the address
/// than the far end of all addresses, and so shares no fewer bits with it.
fn scope(address: u128, first: u128, next: u128) -> u8 {
    let shared = |other: u128| (address ^ other).leading_zeros() as u8;
    1 + shared(first.wrapping_sub(1)).max(shared(next))
}

/// The bits of an address that come after a prefix.
fn rest(depth: u32) -> u128 {
    u128::MAX.checked_shr(depth).unwrap_or(0)
}

fn position(at: usize) -> u32 {
    let fits = u32::try_from(at).ok().filter(|at| at & NESTED == 0);
    fits.expect("less than 8 GiB: no file is read that has as many networks")
}

/// Marks an entry that is the place of a table.
const NESTED: Entry = 1 << 31;

/// What a class is moved by to share a word with a scope or the like.
const SCOPE_BITS: u32 = 8;

const TABLE_WORDS: usize = 4;

/// Bits of an address that a node decides: it has a bit for each block.
const NODE_BITS: u32 = BLOCKS.ilog2();

const BLOCKS: u64 = 64;

const NODE_WORDS: usize = 3;

/// Bits of an address that are looked at together.
const HALF: u32 = 64;

/// Nested tables: runs crowd there, and more nodes would mostly be empty.
const RUNS_PER_NODE: usize = 16;

/// With its 64 blocks a node, the largest table divides down to 24 bits: finer networks are rare, and 3 MiB
/// still are in the cache.
const NODE_BITS_MAX: u32 = 18;

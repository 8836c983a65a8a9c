//! A merged prefix tree in two arrays: address -> class, and the depth of the match.
//!
//! ```text
//!   directory            table, 5 words             nodes, 3 words each           entries, 1 word each
//!   an entry for each    prefix (2 words)           a bit for each of its 64      a leaf: class, scope
//!   value of an     -->  shifts                -->  blocks that does not go  -->  or the table for
//!   address's first      class before, class        on with the entry before      what is in the block
//!   bits                 after
//! ```
//!
//! A table divides the smallest prefix that holds every change of class in its block. Addresses of the block
//! that are outside of it have the class before the first change or after the last. Inside it has as many
//! nodes as its runs need, of 64 blocks each; blocks in a row that have the same entry share it. So a lookup
//! takes one step where networks are spread (IPv4), and one or two behind the directory where they crowd into
//! few prefixes (IPv6), however long their own are.
//!
//! The nodes and the entries of a table come right after it: what a step reads is together. Numbers of 64 bits
//! are two words, the low one first, which most processors read as one. An address is 64
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
    directory: Vec<Entry>,
    /// What the first half of an address is moved by, after one bit, to be a place in the directory.
    directory_shift: u32,
    words: Vec<u32>,
}

/// A class and a scope in the last 8 bits; or, with [`NESTED`], the place of a table.
type Entry = u32;

/// What suits the networks of a family.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// Bits that the directory decides, if there are enough runs: as many as tell apart the blocks that the
    /// networks crowd into; none where they do not.
    pub directory_bits: u32,
    /// The nodes of a table behind the directory are one to so many runs: few where the runs are spread,
    /// many where they crowd.
    pub runs_per_node: usize,
}

impl Trie {
    /// From runs in the order of addresses, the first of which begins at 0, no two neighbours of one class.
    ///
    /// # Panics
    ///
    /// If there is no run, or a class that is too high.
    pub(super) fn compile(runs: &[Run], shape: Shape) -> Self {
        assert!(runs.iter().all(|run| run.1 < TRIE_CLASSES_MAX), "fewer classes than fit an entry");
        let bits = shape.directory_bits.min(runs.len().ilog2());
        let mut blocks = Blocks { runs, next: 0, depth: bits, inside: 1..runs.len() };
        let mut trie = Self { directory: Vec::new(), directory_shift: HALF - 1 - bits, words: Vec::new() };
        for _ in 0..1 << bits {
            let entry = match blocks.next() {
                Block::Leaf(leaf) => leaf,
                Block::Crowded(inside) => trie.add_table(runs, inside, HALF, shape.runs_per_node),
            };
            trie.directory.push(entry);
        }
        trie.words.shrink_to_fit();
        trie
    }

    /// The class of an address and its [`scope`]. Of an IPv4 address the 64 bits of the first half begin with
    /// it.
    #[inline]
    pub(super) fn find(&self, first_half: u64, second_half: u64) -> (u32, u8) {
        let mut entry = self.directory[(first_half >> 1 >> self.directory_shift) as usize];
        while entry & NESTED != 0 {
            let table = &self.words[(entry & !NESTED) as usize..];
            let ([low, high, shifts, before, after], nodes) =
                table.split_first_chunk().expect("tables are whole");
            let in_second_half = shifts & IN_SECOND_HALF != 0;
            let address = if in_second_half { second_half } else { first_half };
            let prefix = u64::from(*high) << 32 | u64::from(*low);
            let differs = address ^ prefix;
            if differs >> 1 >> (shifts >> BEYOND_PREFIX & 63) != 0 {
                let class = if address < prefix { before } else { after };
                let shared = if in_second_half { HALF } else { 0 } + differs.leading_zeros();
                return (*class, (shared + 1) as u8);
            }
            let block = differs >> (shifts >> BEYOND_BLOCK & 63);
            let node = &nodes[NODE_WORDS * (block >> NODE_BITS) as usize..];
            let [low, high, entries] = *node.first_chunk().expect("nodes are whole");
            let up_to_it = (u64::from(high) << 32 | u64::from(low)) << (!block % BLOCKS);
            entry = self.words[entries as usize + up_to_it.count_ones() as usize];
        }
        (entry >> SCOPE_BITS, entry as u8)
    }

    /// What it keeps, in bytes.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.directory) + size_of_val(&*self.words)
    }

    /// Adds the table of a block in which some runs begin, after its first address, and returns the entry for
    /// it. The block is in the half of an address that ends at `end`.
    fn add_table(&mut self, runs: &[Run], inside: Range<usize>, end: u32, runs_per_node: usize) -> Entry {
        let (first, last) = (runs[inside.start].0, runs[inside.end - 1].0);
        let (before, after) = (runs[inside.start - 1].1, runs[inside.end - 1].1);
        let depth = ((first - 1) ^ last).leading_zeros().min(end - 1);
        let prefix = last & !rest(depth);
        let half = (prefix >> (128 - end)) as u64;
        let wanted = (inside.len() / runs_per_node).max(1).ilog2();
        let node_bits = wanted.min(NODE_BITS_MAX).min((end - depth).saturating_sub(NODE_BITS));
        let block_bits = NODE_BITS.min(end - depth);
        let depth_of_block = depth + node_bits + block_bits;
        let in_second_half = if end == HALF { 0 } else { IN_SECOND_HALF };

        let table = self.words.len();
        self.words.extend([
            half as u32,
            (half >> 32) as u32,
            in_second_half | (end - 1 - depth) << BEYOND_PREFIX | (end - depth_of_block) << BEYOND_BLOCK,
            before,
            after,
        ]);
        let first_node = self.words.len();
        self.words.resize(first_node + (NODE_WORDS << node_bits), 0);
        let mut blocks = Blocks { runs, next: prefix, depth: depth_of_block, inside };
        let mut crowded = Vec::new();
        for node in 0..1 << node_bits {
            let words = blocks.node(1 << block_bits, &mut self.words, &mut crowded);
            self.words[first_node + NODE_WORDS * node..][..NODE_WORDS].copy_from_slice(&words);
        }
        let end = if depth_of_block < HALF { HALF } else { 2 * HALF };
        for (entry, inside) in crowded {
            self.words[entry] = self.add_table(runs, inside, end, RUNS_PER_NODE);
        }
        NESTED | position(table)
    }
}

/// Goes over the blocks of a table or a directory, in the order of addresses.
struct Blocks<'r> {
    runs: &'r [Run],
    /// The first address of the next block.
    next: u128,
    /// Length of the prefix that a block is.
    depth: u32,
    /// The runs that begin in the blocks to come.
    inside: Range<usize>,
}

/// What is in a block.
enum Block {
    /// One class.
    Leaf(Entry),
    /// The runs that begin in it after its first address.
    Crowded(Range<usize>),
}

impl Blocks<'_> {
    fn next(&mut self) -> Block {
        let inside = self.inside_block();
        let block = match inside.is_empty() {
            true => Block::Leaf(leaf(self.runs, self.next, inside.start)),
            false => Block::Crowded(inside),
        };
        self.skip(1);
        block
    }

    /// Fills a node of so many blocks, with its entries at the end of `words`. Entries that wait for a table
    /// are added to `crowded`.
    fn node(
        &mut self,
        blocks: u32,
        words: &mut Vec<u32>,
        crowded: &mut Vec<(usize, Range<usize>)>,
    ) -> [u32; NODE_WORDS] {
        let entries = words.len();
        let mut bits = 0u64;
        let mut block = 0;
        while block < blocks {
            bits |= 1 << block;
            match self.next() {
                Block::Leaf(leaf) => {
                    words.push(leaf);
                    // The blocks that are within the leaf's scope, and in this node.
                    let alike = self.depth.saturating_sub(leaf & 0xff).min(blocks.ilog2());
                    self.skip((1 << alike) - 1);
                    block += 1 << alike;
                }
                Block::Crowded(inside) => {
                    crowded.push((words.len(), inside));
                    words.push(NESTED);
                    block += 1;
                }
            }
        }
        // A lookup counts the bits up to its block, which are one or more.
        [bits as u32, (bits >> 32) as u32, position(entries - 1)]
    }

    fn skip(&mut self, blocks: u128) {
        let block = 1u128.checked_shl(128 - self.depth).unwrap_or(0);
        self.next = self.next.wrapping_add(blocks * block);
    }

    /// The runs that begin in the next block after its first address.
    fn inside_block(&mut self) -> Range<usize> {
        let begin = |this: &Self, until: u128| {
            let coming = &this.runs[this.inside.clone()];
            this.inside.start + coming.iter().take_while(|run| run.0 <= until).count()
        };
        self.inside.start = begin(self, self.next);
        let end = begin(self, self.next | rest(self.depth));
        let inside = self.inside.start..end;
        self.inside.start = end;
        inside
    }
}

/// The entry of a block that is within one run; `next` is the one after that.
fn leaf(runs: &[Run], block: u128, next: usize) -> Entry {
    let (first, class) = runs[next - 1];
    let after = runs.get(next).map_or(0, |run| run.0);
    let scope = if runs.len() == 1 { 0 } else { scope(block, first, after) };
    class << SCOPE_BITS | u32::from(scope)
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

/// In the shifts of a table: it is about the second half of addresses.
const IN_SECOND_HALF: u32 = 1;

/// Where the shifts of a table say by how much a block's number is moved in its half of an address.
const BEYOND_BLOCK: u32 = 8;

/// Where they say how many bits of that half come after the prefix, but one.
const BEYOND_PREFIX: u32 = 16;

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

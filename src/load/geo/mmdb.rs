//! `*.mmdb`: the MaxMind DB format. The search tree is walked here, the rest is read by the library `maxminddb`.
//!
//! ```text
//!   search tree   node -> node | nothing | record    each node met once
//!   records       pointed to by many networks        each decoded once
//!   metadata      how many nodes, how wide
//! ```
//!
//! The library has a walk of its own, which counts nothing: in a damaged tree in which every path runs through the same
//! few nodes to nowhere it looks for the first network for ever. Ours counts the nodes that it meets.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use foldhash::fast::FixedState;
use maxminddb::{Metadata, Reader};

use super::record::Decoded;
use super::{Database, NETWORKS_MAX};
use crate::geo::{Facts, FactsBuilder, Knows};

/// Whether a file is in this form: its metadata begins with a mark, near its end.
pub(super) fn is_one(bytes: &[u8]) -> bool {
    let tail = &bytes[bytes.len().saturating_sub(METADATA_MAX)..];
    tail.windows(MARK.len()).any(|window| window == MARK)
}

/// All networks of a database.
///
/// # Errors
/// What is wrong with it.
pub(super) fn read(path: &Path, bytes: &[u8]) -> Result<(Database, Facts), String> {
    let reader = Reader::from_source(bytes).map_err(damaged)?;
    let metadata = reader.metadata();
    let mut walk = Walk::new(&reader, Tree::of(bytes, metadata)?);
    walk.everything()?;
    let networks = walk.networks;
    let facts = walk.builder.finish();
    if facts.knows() == Knows::default() {
        return Err(format!("a `{}` tells neither places nor ASNs", metadata.database_type));
    }
    let database = Database {
        path: path.to_owned(),
        kind: metadata.database_type.clone(),
        built: metadata.build_time().ok(),
        bytes: bytes.len() as u64,
        networks,
        knows: facts.knows(),
    };
    Ok((database, facts))
}

/// One walk over the tree of a database.
struct Walk<'r, 'b> {
    reader: &'r Reader<&'b [u8]>,
    tree: Tree<'b>,
    /// How many nodes may still be met.
    nodes_left: u64,
    /// The records met so far: as the tree points to them, and as the builder numbers them.
    records: HashMap<u32, u32, FixedState>,
    builder: FactsBuilder,
    networks: u64,
}

/// A way to go on: what the tree has for the addresses that begin with the first `length` bits of `first`.
struct Step {
    target: u32,
    first: u128,
    length: u8,
}

impl<'r, 'b> Walk<'r, 'b> {
    fn new(reader: &'r Reader<&'b [u8]>, tree: Tree<'b>) -> Self {
        let nodes_left = MEETINGS_MAX * u64::from(tree.nodes);
        let (records, builder) = (HashMap::default(), FactsBuilder::default());
        Self { reader, tree, nodes_left, records, builder, networks: 0 }
    }

    fn everything(&mut self) -> Result<(), String> {
        if self.tree.for_v6 {
            let v4 = self.tree.v4_in_v6();
            self.below(v4, V4_BITS, None)?;
            self.below(0, V6_BITS, Some(v4))
        } else {
            self.below(0, V4_BITS, None)
        }
    }

    /// Walks all that is below a node, except below another: IPv4 is in the tree for IPv6 several times, at `::/96`
    /// and wherever IPv6 addresses hold IPv4 addresses.
    fn below(&mut self, top: u32, bits: u8, except: Option<u32>) -> Result<(), String> {
        let mut ahead = vec![Step { target: top, first: 0, length: 0 }];
        while let Some(Step { target, first, length }) = ahead.pop() {
            match target.cmp(&self.tree.nodes) {
                Ordering::Less if Some(target) == except => {}
                Ordering::Less if length == bits => {
                    return Err(damaged("its search tree is deeper than addresses"));
                }
                Ordering::Less => {
                    self.nodes_left =
                        self.nodes_left.checked_sub(1).ok_or_else(|| damaged("its search tree has loops"))?;
                    let [left, right] = self.tree.node(target);
                    let middle = first | 1 << (bits - 1 - length);
                    ahead.push(Step { target: right, first: middle, length: length + 1 });
                    ahead.push(Step { target: left, first, length: length + 1 });
                }
                Ordering::Equal => {}
                Ordering::Greater => self.network(target, first, bits - length, bits)?,
            }
        }
        Ok(())
    }

    /// Keeps what a record says of the addresses from `first` on that differ in the last `free` bits.
    fn network(&mut self, target: u32, first: u128, free: u8, bits: u8) -> Result<(), String> {
        self.networks += 1;
        if self.networks > NETWORKS_MAX {
            return Err(format!("it has more than {NETWORKS_MAX} networks"));
        }
        let last = first | u128::MAX.checked_shr(u32::from(V6_BITS - free)).unwrap_or(0);
        if bits == V4_BITS {
            // Both have at most 32 bits.
            let [first, last] = [first, last].map(|address| Ipv4Addr::from_bits(address as u32));
            let record = self.record(target, first.into())?;
            self.builder.add_v4(first, last, record);
        } else {
            let [first, last] = [first, last].map(Ipv6Addr::from_bits);
            let record = self.record(target, first.into())?;
            self.builder.add_v6(first, last, record);
        }
        Ok(())
    }

    /// The number of the record that the tree has for an address.
    fn record(&mut self, target: u32, address: IpAddr) -> Result<u32, String> {
        if let Some(known) = self.records.get(&target) {
            return Ok(*known);
        }
        let found = self.reader.lookup(address).map_err(damaged)?;
        let decoded: Option<Decoded> = found.decode().map_err(damaged)?;
        let number = self.builder.record(decoded.unwrap_or_default().into());
        self.records.insert(target, number);
        Ok(number)
    }
}

/// The search tree: nodes of two targets each. A target below the number of nodes is a node, one equal to it nothing, one
/// above it a record.
struct Tree<'b> {
    octets: &'b [u8],
    /// Of one target: 24, 28 or 32; the library refuses others.
    bits: u16,
    nodes: u32,
    for_v6: bool,
}

impl<'b> Tree<'b> {
    fn of(bytes: &'b [u8], metadata: &Metadata) -> Result<Self, String> {
        let &Metadata { node_count: nodes, record_size: bits, ip_version, .. } = metadata;
        let length = nodes as usize * node_octets(bits);
        let octets = bytes.get(..length).ok_or_else(|| damaged("its search tree is longer than the file"))?;
        Ok(Self { octets, bits, nodes, for_v6: ip_version == 6 })
    }

    fn node(&self, number: u32) -> [u32; 2] {
        let length = node_octets(self.bits);
        let node = &self.octets[number as usize * length..][..length];
        let at = |place: usize| node[place];
        match self.bits {
            24 => [[0, at(0), at(1), at(2)], [0, at(3), at(4), at(5)]],
            28 => [[at(3) >> 4, at(0), at(1), at(2)], [at(3) & 0x0f, at(4), at(5), at(6)]],
            _ => [[at(0), at(1), at(2), at(3)], [at(4), at(5), at(6), at(7)]],
        }
        .map(u32::from_be_bytes)
    }

    /// Where IPv4 is in a tree for IPv6: at `::/96`.
    fn v4_in_v6(&self) -> u32 {
        let mut target = 0;
        for _ in V4_BITS..V6_BITS {
            if target >= self.nodes {
                break;
            }
            [target, _] = self.node(target);
        }
        target
    }
}

fn node_octets(bits: u16) -> usize {
    usize::from(bits) * 2 / 8
}

fn damaged(why: impl std::fmt::Display) -> String {
    format!("{why}: it is damaged, download it again")
}

const V4_BITS: u8 = 32;
const V6_BITS: u8 = 128;

/// A node that is met more often than this, on the average of all nodes, is in a loop: in a tree each is met once, and a
/// maker may let a few equal parts share their nodes.
const MEETINGS_MAX: u64 = 4;

/// What stands before the metadata.
const MARK: &[u8] = b"\xab\xcd\xefMaxMind.com";

/// The metadata has at most so many bytes, by the format's own rules.
const METADATA_MAX: usize = 128 * 1024;

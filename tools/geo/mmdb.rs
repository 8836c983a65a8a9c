//! Writes databases in the MaxMind DB format: for tests and benchmarks, which must not depend on a licence.
//!
//! ```text
//!   search tree: nodes of two records (24, 28 or 32 bits each) --> node | nothing | data
//!   16 zero bytes
//!   data section: each distinct map, list and longer text once; whatever else has it points to it
//!   mark, metadata
//! ```
//!
//! <https://maxmind.github.io/MaxMind-DB/>

#![allow(dead_code, reason = "each of those who include this file needs another part of it")]

use std::collections::HashMap;

use ipnet::IpNet;

/// A value of a record.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// UTF-8 text.
    Text(String),
    /// A double.
    Number(f64),
    /// An unsigned number of 16 bits.
    Short(u16),
    /// An unsigned number of 32 bits.
    Whole(u32),
    /// An unsigned number of 64 bits.
    Long(u64),
    /// Names and values, in order.
    Map(Vec<(&'static str, Value)>),
    /// Values, in order.
    List(Vec<Value>),
    /// Octets as they are: what no writer would write.
    Raw(Vec<u8>),
}

/// A database in the making.
pub struct Writer {
    record_bits: u16,
    ip_version: u16,
    kind: String,
    built: u64,
    /// Two records each.
    nodes: Vec<[Record; 2]>,
    data: Data,
}

/// A value that is in the data section.
#[derive(Clone, Copy)]
pub struct Kept(u32);

/// The data section.
#[derive(Default)]
struct Data {
    octets: Vec<u8>,
    /// Where each distinct value begins.
    offsets: HashMap<Vec<u8>, u32>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Record {
    Nothing,
    Node(u32),
    Data(u32),
}

impl Writer {
    /// A database with records of 24, 28 or 32 bits, for IPv4 alone (4) or both families (6).
    pub fn new(record_bits: u16, ip_version: u16, kind: &str, built: u64) -> Self {
        let nodes = vec![[Record::Nothing; 2]];
        Self { record_bits, ip_version, kind: kind.to_owned(), built, nodes, data: Data::default() }
    }

    /// Gives all addresses of a network a value; what is inserted later counts. IPv4 is at `::/96` of a database
    /// for both families; a database for IPv4 alone leaves IPv6 out.
    pub fn insert(&mut self, net: IpNet, value: &Value) {
        let kept = self.keep(value);
        self.insert_kept(net, kept);
    }

    /// Writes a value that many networks have.
    pub fn keep(&mut self, value: &Value) -> Kept {
        Kept(self.data.offset(value))
    }

    /// Does what [`Writer::insert`] does with a value that was written before.
    pub fn insert_kept(&mut self, net: IpNet, Kept(offset): Kept) {
        if let Some((bits, length)) = self.path(net) {
            self.put(bits, length, Record::Data(offset));
        }
    }

    /// Lets IPv4-mapped, 6to4 and Teredo addresses lead to the IPv4 part, as most databases do.
    pub fn alias(&mut self) {
        let start = self.node_at(0, 96);
        for (bits, length) in [(0xffff << 32, 96), (0x2002 << 112, 16), (0x2001 << 112, 32)] {
            self.put(bits, length, Record::Node(start));
        }
    }

    /// How many bits the records need: 24, 28 or 32; `None`: all this is too much for the format.
    pub fn bits_needed(&self) -> Option<u16> {
        let largest = self.nodes.len() + SEPARATOR + self.data.octets.len();
        [24, 28, 32].into_iter().find(|bits| largest as u64 <= 1 << bits)
    }

    /// The file. Records are cut off that need more bits than they have.
    pub fn bytes(&self) -> Vec<u8> {
        let mut file = Vec::new();
        for [left, right] in &self.nodes {
            self.write_node(self.pointer(*left), self.pointer(*right), &mut file);
        }
        file.extend([0; SEPARATOR]);
        file.extend(&self.data.octets);
        file.extend(b"\xab\xcd\xefMaxMind.com");
        plain(&self.metadata(), &mut file);
        file
    }

    /// The bits of a network from the top of the tree, left-aligned, and their number.
    fn path(&self, net: IpNet) -> Option<(u128, u8)> {
        match (net, self.ip_version) {
            (IpNet::V4(net), 4) => Some((u128::from(net.network().to_bits()) << 96, net.prefix_len())),
            (IpNet::V4(net), _) => Some((u128::from(net.network().to_bits()), net.prefix_len() + 96)),
            (IpNet::V6(net), 6) => Some((net.network().to_bits(), net.prefix_len())),
            (IpNet::V6(_), _) => None,
        }
    }

    fn put(&mut self, bits: u128, length: u8, record: Record) {
        if length == 0 {
            self.nodes[0] = [record; 2];
            return;
        }
        let node = self.node_at(bits, length - 1);
        self.nodes[node as usize][bit(bits, length - 1)] = record;
    }

    /// The node at the end of a path, made where there is none: what was there goes on below.
    fn node_at(&mut self, bits: u128, length: u8) -> u32 {
        let mut node = 0;
        for depth in 0..length {
            let side = bit(bits, depth);
            node = match self.nodes[node as usize][side] {
                Record::Node(next) => next,
                above => {
                    let next = self.nodes.len() as u32;
                    self.nodes.push([above; 2]);
                    self.nodes[node as usize][side] = Record::Node(next);
                    next
                }
            };
        }
        node
    }

    fn pointer(&self, record: Record) -> u32 {
        let nodes = self.nodes.len() as u32;
        match record {
            Record::Node(node) => node,
            Record::Nothing => nodes,
            Record::Data(offset) => nodes + SEPARATOR as u32 + offset,
        }
    }

    fn write_node(&self, left: u32, right: u32, file: &mut Vec<u8>) {
        let ([a, b, c, d], [e, f, g, h]) = (left.to_be_bytes(), right.to_be_bytes());
        match self.record_bits {
            24 => file.extend([b, c, d, f, g, h]),
            28 => file.extend([b, c, d, a << 4 | e & 0x0f, f, g, h]),
            _ => file.extend([a, b, c, d, e, f, g, h]),
        }
    }

    fn metadata(&self) -> Value {
        let text = |text: &str| Value::Text(text.to_owned());
        Value::Map(vec![
            ("binary_format_major_version", Value::Short(2)),
            ("binary_format_minor_version", Value::Short(0)),
            ("build_epoch", Value::Long(self.built)),
            ("database_type", text(&self.kind)),
            ("description", Value::Map(vec![("en", text("made for tests"))])),
            ("ip_version", Value::Short(self.ip_version)),
            ("languages", Value::List(vec![text("en")])),
            ("node_count", Value::Whole(self.nodes.len() as u32)),
            ("record_size", Value::Short(self.record_bits)),
        ])
    }
}

fn bit(bits: u128, depth: u8) -> usize {
    (bits >> (127 - depth)) as usize & 1
}

impl Data {
    /// Where a value begins; it is written unless it is there.
    fn offset(&mut self, value: &Value) -> u32 {
        let mut encoded = Vec::new();
        encode(value, &mut encoded, &mut |part, out| self.part(part, out));
        if let Some(known) = self.offsets.get(&encoded) {
            return *known;
        }
        let next = self.octets.len() as u32;
        self.octets.extend(&encoded);
        self.offsets.insert(encoded, next);
        next
    }

    /// Writes a part of a value: what is longer than a pointer to it by a pointer.
    fn part(&mut self, value: &Value, out: &mut Vec<u8>) {
        match value {
            Value::Text(text) if text.len() < POINTER_MAX => plain(value, out),
            Value::Text(_) | Value::Map(_) | Value::List(_) => point(self.offset(value), out),
            _ => plain(value, out),
        }
    }
}

/// Writes a value without pointers.
fn plain(value: &Value, out: &mut Vec<u8>) {
    encode(value, out, &mut plain);
}

/// Writes a value, and its parts as `write_part` does.
fn encode(value: &Value, out: &mut Vec<u8>, write_part: &mut dyn FnMut(&Value, &mut Vec<u8>)) {
    match value {
        Value::Text(text) => {
            control(TEXT, text.len(), out);
            out.extend(text.as_bytes());
        }
        Value::Number(number) => {
            control(DOUBLE, 8, out);
            out.extend(number.to_be_bytes());
        }
        Value::Short(number) => whole(SHORT, (*number).into(), out),
        Value::Whole(number) => whole(WHOLE, (*number).into(), out),
        Value::Long(number) => whole(LONG, *number, out),
        Value::Map(entries) => {
            control(MAP, entries.len(), out);
            for (name, value) in entries {
                write_part(&Value::Text((*name).to_owned()), out);
                write_part(value, out);
            }
        }
        Value::List(values) => {
            control(LIST, values.len(), out);
            values.iter().for_each(|value| write_part(value, out));
        }
        Value::Raw(octets) => out.extend(octets),
    }
}

/// A pointer into the data section: the shortest of its four forms that fits.
fn point(offset: u32, out: &mut Vec<u8>) {
    let (form, beyond, octets) = match offset {
        0..2048 => (0, 0, 1),
        2048..526_336 => (1, 2048, 2),
        526_336..134_744_064 => (2, 526_336, 3),
        _ => (3, 0, 4),
    };
    let rest = offset - beyond;
    let high = if octets < 4 { (rest >> (8 * octets)) as u8 } else { 0 };
    out.push(POINTER << 5 | form << 3 | high);
    out.extend(&rest.to_be_bytes()[4 - octets..]);
}

/// A number without the zeros before it.
fn whole(kind: u8, number: u64, out: &mut Vec<u8>) {
    let octets = number.to_be_bytes();
    let significant = &octets[number.leading_zeros() as usize / 8..];
    control(kind, significant.len(), out);
    out.extend(significant);
}

/// The octets before a value: its type and size. Types above 7 have an octet of their own.
fn control(kind: u8, size: usize, out: &mut Vec<u8>) {
    let (short, rest): (u8, &[u8]) = match size {
        0..29 => (size as u8, &[]),
        29..285 => (29, &[(size - 29) as u8]),
        _ => (30, &((size - 285) as u16).to_be_bytes()),
    };
    if kind > 7 {
        out.extend([short, kind - 7]);
    } else {
        out.push(kind << 5 | short);
    }
    out.extend(rest);
}

/// Between the search tree and the data section.
const SEPARATOR: usize = 16;

/// The octets of a pointer at most.
const POINTER_MAX: usize = 5;

const POINTER: u8 = 1;
const TEXT: u8 = 2;
const DOUBLE: u8 = 3;
const SHORT: u8 = 5;
const WHOLE: u8 = 6;
const MAP: u8 = 7;
const LONG: u8 = 9;
const LIST: u8 = 11;

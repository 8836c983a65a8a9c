//! Writes databases in the MaxMind DB format: for tests and benchmarks, which must not depend on a licence.
//!
//! ```text
//!   search tree: nodes of two records (24, 28 or 32 bits each) --> node | nothing | data
//!   16 zero bytes
//!   data section: each distinct value once
//!   mark, metadata
//! ```
//!
//! <https://maxmind.github.io/MaxMind-DB/>

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
}

/// A database in the making.
pub struct Writer {
    record_bits: u16,
    ip_version: u16,
    kind: String,
    built: u64,
    /// Two records each.
    nodes: Vec<[Record; 2]>,
    data: Vec<u8>,
    /// Where each distinct value begins in the data section.
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
        let (data, offsets) = (Vec::new(), HashMap::new());
        Self { record_bits, ip_version, kind: kind.to_owned(), built, nodes, data, offsets }
    }

    /// Gives all addresses of a network a value; what is inserted later counts. IPv4 is at `::/96` of a database
    /// for both families; a database for IPv4 alone leaves IPv6 out.
    pub fn insert(&mut self, net: IpNet, value: &Value) {
        let record = Record::Data(self.offset(value));
        if let Some((bits, length)) = self.path(net) {
            self.put(bits, length, record);
        }
    }

    /// Lets IPv4-mapped, 6to4 and Teredo addresses lead to the IPv4 part, as most databases do.
    pub fn alias(&mut self) {
        let start = self.node_at(0, 96);
        for (bits, length) in [(0xffff << 32, 96), (0x2002 << 112, 16), (0x2001 << 112, 32)] {
            self.put(bits, length, Record::Node(start));
        }
    }

    /// The file.
    pub fn bytes(&self) -> Vec<u8> {
        let mut file = Vec::new();
        for [left, right] in &self.nodes {
            self.write_node(self.pointer(*left), self.pointer(*right), &mut file);
        }
        file.extend([0; 16]);
        file.extend(&self.data);
        file.extend(b"\xab\xcd\xefMaxMind.com");
        encode(&self.metadata(), &mut file);
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

    fn offset(&mut self, value: &Value) -> u32 {
        let mut encoded = Vec::new();
        encode(value, &mut encoded);
        let next = self.data.len() as u32;
        if let Some(known) = self.offsets.get(&encoded) {
            return *known;
        }
        self.data.extend(&encoded);
        self.offsets.insert(encoded, next);
        next
    }

    fn pointer(&self, record: Record) -> u32 {
        let nodes = self.nodes.len() as u32;
        match record {
            Record::Node(node) => node,
            Record::Nothing => nodes,
            Record::Data(offset) => nodes + 16 + offset,
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

fn encode(value: &Value, out: &mut Vec<u8>) {
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
                encode(&Value::Text((*name).to_owned()), out);
                encode(value, out);
            }
        }
        Value::List(values) => {
            control(LIST, values.len(), out);
            values.iter().for_each(|value| encode(value, out));
        }
    }
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

const TEXT: u8 = 2;
const DOUBLE: u8 = 3;
const SHORT: u8 = 5;
const WHOLE: u8 = 6;
const MAP: u8 = 7;
const LONG: u8 = 9;
const LIST: u8 = 11;

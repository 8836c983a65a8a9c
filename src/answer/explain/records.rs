//! Records as people write them.

use std::fmt::{self, Write};

use domain::base::iana::Rtype;
use domain::base::rdata::ParseAnyRecordData;
use domain::base::{Name, ParsedName};
use domain::dep::octseq::Parser;
use domain::rdata::AllRecordData;
use serde::Serialize;

use crate::answer::{Data, RecordSet};
use crate::plan::zone::Set;

/// A record in presentation form (RFC 1035 section 5.1).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Record {
    /// Absolute, with the dot at the end.
    pub owner: String,
    /// Seconds.
    pub ttl: u32,
    /// `A`, or `TYPE65280`.
    pub rtype: String,
    /// As in a zone file.
    pub data: String,
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} {}", self.owner, self.ttl, self.rtype, self.data)
    }
}

/// The records of a set; `question` is the question's name.
pub(crate) fn presentation(set: &RecordSet<'_>, question: &[u8]) -> Vec<Record> {
    let record = |data: String| Record {
        owner: absolute(set.owner.wire(question)),
        ttl: set.ttl,
        rtype: type_name(set.rtype),
        data,
    };
    let stored = |data| {
        let stored = Set { rtype: set.rtype, ttl: set.ttl, data };
        stored.records().map(|rdata| record(shown(set.rtype, rdata))).collect()
    };
    match &set.data {
        Data::Stored(data) => stored(data),
        Data::Made(data) => stored(data),
        Data::A(addresses) => addresses.iter().map(|address| record(address.to_string())).collect(),
        Data::Aaaa(addresses) => addresses.iter().map(|address| record(address.to_string())).collect(),
        Data::Target(name) => vec![record(absolute(name))],
    }
}

/// A name with the dot at its end.
pub(crate) fn absolute(name: &[u8]) -> String {
    Name::from_octets(name).map_or_else(|_| "?".into(), |name| name.fmt_with_dot().to_string())
}

/// `A`, or `TYPE65280`.
pub(crate) fn type_name(rtype: u16) -> String {
    Rtype::from_int(rtype).to_string()
}

/// RDATA as in a zone file; what cannot be read as its type says is shown as RFC 3597 has it.
fn shown(rtype: u16, rdata: &[u8]) -> String {
    let mut parser = Parser::from_ref(rdata);
    let known: Result<AllRecordData<&[u8], ParsedName<&[u8]>>, _> =
        AllRecordData::parse_any_rdata(Rtype::from_int(rtype), &mut parser);
    match known {
        Ok(AllRecordData::Unknown(_)) | Err(_) => generic(rdata),
        Ok(data) if parser.remaining() == 0 => data.to_string(),
        Ok(_) => generic(rdata),
    }
}

fn generic(rdata: &[u8]) -> String {
    let mut text = format!("\\# {}", rdata.len());
    for (index, octet) in rdata.iter().enumerate() {
        let _ = write!(text, "{}{octet:02x}", if index == 0 { " " } else { "" });
    }
    text
}

//! `*.mmdb`: the MaxMind DB format, by the library `maxminddb`.
//!
//! The search tree is walked once. Networks share records, and each distinct record is decoded once.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;

use foldhash::fast::FixedState;
use ipnet::IpNet;
use maxminddb::{Reader, WithinOptions};

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
pub(super) fn read(path: &Path, bytes: Vec<u8>) -> Result<(Database, Facts), String> {
    let length = bytes.len() as u64;
    let reader = Reader::from_source(bytes).map_err(|error| error.to_string())?;
    let metadata = reader.metadata();
    let networks_max = NETWORKS_MAX.min(2 * u64::from(metadata.node_count) + 1);
    let mut builder = FactsBuilder::default();
    let mut records: HashMap<usize, u32, FixedState> = HashMap::default();
    let mut networks = 0;
    for found in reader.networks(WithinOptions::default()).map_err(|error| error.to_string())? {
        let found = found.map_err(|error| error.to_string())?;
        networks += 1;
        if networks > networks_max {
            return Err("its search tree has loops".into());
        }
        let Some(offset) = found.offset() else { continue };
        let record = match records.get(&offset) {
            Some(record) => *record,
            None => {
                let decoded = found.decode::<Decoded>().map_err(|error| error.to_string())?;
                let record = builder.record(decoded.unwrap_or_default().into());
                records.insert(offset, record);
                record
            }
        };
        let network = found.network().map_err(|error| error.to_string())?;
        add(&mut builder, network.ip(), network.prefix(), record);
    }
    let facts = builder.finish();
    if facts.knows() == Knows::default() {
        return Err(format!("a `{}` tells neither places nor ASNs", metadata.database_type));
    }
    let database = Database {
        path: path.to_owned(),
        kind: metadata.database_type.clone(),
        built: metadata.build_time().ok(),
        bytes: length,
        networks,
        knows: facts.knows(),
    };
    Ok((database, facts))
}

fn add(builder: &mut FactsBuilder, address: IpAddr, length: u8, record: u32) {
    match IpNet::new(address, length) {
        Ok(IpNet::V4(net)) => builder.add_v4(net.network(), net.broadcast(), record),
        Ok(IpNet::V6(net)) => builder.add_v6(net.network(), net.broadcast(), record),
        Err(_) => {}
    }
}

/// What stands before the metadata.
const MARK: &[u8] = b"\xab\xcd\xefMaxMind.com";

/// The metadata has at most so many bytes, by the format's own rules.
const METADATA_MAX: usize = 128 * 1024;

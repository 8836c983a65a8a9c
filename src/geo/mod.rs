//! Where a client is, and how far that is from anything else.
//!
//! ```text
//!   matchers (net:, ...) --compile--> Tree (one per family): address -> region, and the scope of that fact
//!   coordinates          --distance-> kilometres
//! ```
//!
//! All of geography is compiled away at load: the query path does one lookup in one merged prefix tree,
//! and the depth of the match is the EDNS scope prefix.

mod distance;
mod tree;

use std::net::IpAddr;

use ipnet::IpNet;

pub use distance::{biased, kilometres};
pub use tree::Tree;

use crate::model::RegionId;

/// One rule that places clients.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Matcher {
    /// `net:198.51.100.0/24`: an address prefix. The longest match wins.
    Net(IpNet),
}

impl std::fmt::Display for Matcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Matcher::Net(net) => write!(f, "net:{net}"),
        }
    }
}

/// Where a client is, as far as answers go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its region.
    pub region: RegionId,
    /// The shortest prefix around the client in which every client has this place.
    pub scope: u8,
}

/// A map of the world's clients: every address is in exactly one region.
#[derive(Clone, Debug)]
pub struct GeoMap {
    v4: Tree,
    v6: Tree,
    matchers: Vec<(Matcher, RegionId)>,
    default: RegionId,
}

impl GeoMap {
    /// Compiles the rules; clients that none of them holds are in `default`.
    pub fn compile(matchers: Vec<(Matcher, RegionId)>, default: RegionId) -> Self {
        let _ = (&matchers, default);
        todo!()
    }

    /// The place of a client. One lookup; an IPv4-mapped IPv6 address is looked up as IPv4, with the
    /// scope moved by 96.
    pub fn locate(&self, client: IpAddr) -> Place {
        let _ = (&self.v4, &self.v6, client);
        todo!()
    }

    /// The rule that placed a client, for people; `None`: the default region took it. Slow.
    pub fn reason(&self, client: IpAddr) -> Option<&Matcher> {
        let _ = (&self.matchers, self.default, client);
        todo!()
    }
}

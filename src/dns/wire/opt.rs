//! The OPT record of a reply (RFC 6891): its flags and its options.
//!
//! ```text
//!   0 | OPT | payload | rcode, version, flags | length | subnet, NSID, cookie, keepalive, extended error
//! ```

use super::parse::Subnet;
use super::{option, rtype};
use crate::answer::Ede;
use crate::dns::cookies;

/// What the OPT record of a reply says (RFC 6891).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Opt<'s> {
    /// The largest UDP query that we take.
    pub payload: u16,
    /// As in the query: DNSSEC OK, and Compact Answers OK (RFC 9824 section 5.1).
    pub flags: u8,
    /// The client subnet as it was told, and the scope prefix of the answer.
    pub subnet: Option<(Subnet, u8)>,
    /// Who answers, if that was asked.
    pub nsid: Option<&'s [u8]>,
    /// A cookie for the client that sent one.
    pub cookie: Option<&'s cookies::Whole>,
    /// How long a connection is kept, in tenths of a second, if that was asked.
    pub keepalive: Option<u16>,
    /// The whole reply is to have one of few lengths (RFC 7830, RFC 8467).
    pub padding: bool,
    /// What is unusual about the answer.
    pub ede: Option<Ede>,
}

impl Opt<'_> {
    /// Octets that the record takes.
    pub fn length(&self) -> usize {
        let subnet = self.subnet.map_or(0, |(subnet, _)| OPTION_FIXED + 4 + subnet.octets().len());
        let nsid = self.nsid.map_or(0, |name| OPTION_FIXED + name.len());
        let ede = self.ede.map_or(0, |ede| OPTION_FIXED + 2 + ede_text(&ede).len());
        let cookie = self.cookie.map_or(0, |cookie| OPTION_FIXED + cookie.len());
        let keepalive = self.keepalive.map_or(0, |_| OPTION_FIXED + 2);
        OPT_FIXED + subnet + nsid + cookie + keepalive + ede
    }

    /// Writes the record into `out`, which is as long as it.
    pub fn write(&self, extended_rcode: u8, out: &mut [u8]) {
        let options = (out.len() - OPT_FIXED) as u16;
        let mut out = Filler(out);
        out.put(&[0]);
        out.put(&rtype::OPT.to_be_bytes());
        out.put(&self.payload.to_be_bytes());
        out.put(&[extended_rcode, 0, self.flags, 0]);
        out.put(&options.to_be_bytes());
        if let Some((subnet, scope)) = self.subnet {
            out.put_option_head(option::CLIENT_SUBNET, 4 + subnet.octets().len());
            out.put(&subnet.family.to_be_bytes());
            out.put(&[subnet.source, scope]);
            out.put(subnet.octets());
        }
        if let Some(name) = self.nsid {
            out.put_option_head(option::NSID, name.len());
            out.put(name);
        }
        if let Some(cookie) = self.cookie {
            out.put_option_head(option::COOKIE, cookie.len());
            out.put(cookie);
        }
        if let Some(tenths) = self.keepalive {
            out.put_option_head(option::TCP_KEEPALIVE, 2);
            out.put(&tenths.to_be_bytes());
        }
        if let Some(ede) = self.ede {
            let text = ede_text(&ede);
            out.put_option_head(option::EXTENDED_ERROR, 2 + text.len());
            out.put(&ede.code.to_be_bytes());
            out.put(text);
        }
    }
}

fn ede_text(ede: &Ede) -> &'static [u8] {
    &ede.text.as_bytes()[..ede.text.len().min(EDE_TEXT_MAX)]
}

/// Room of a known length that is filled from front to back.
struct Filler<'b>(&'b mut [u8]);

impl Filler<'_> {
    fn put(&mut self, octets: &[u8]) {
        let (place, rest) = std::mem::take(&mut self.0).split_at_mut(octets.len());
        place.copy_from_slice(octets);
        self.0 = rest;
    }

    fn put_option_head(&mut self, code: u16, length: usize) {
        self.put(&code.to_be_bytes());
        self.put(&(length as u16).to_be_bytes());
    }
}

/// Longest name for NSID that leaves room for the rest of the smallest message; a longer one is cut.
pub const NSID_MAX: usize = 64;
/// Longest text of an extended error that leaves room for the rest; a longer one is cut.
const EDE_TEXT_MAX: usize = 100;
/// An OPT record without options.
const OPT_FIXED: usize = 11;
/// Code and length of an option.
const OPTION_FIXED: usize = 4;

//! A server's digest: what it runs, in few numbers, so that servers that differ are seen to.

use serde::{Deserialize, Serialize};

use crate::model::Moment;

/// What a server says of itself, on [`super::subject::server`], as JSON. Fields that a release does not know are
/// skipped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    /// Its name, unique in the fleet.
    pub server: Box<str>,
    /// Drawn when it started: two servers that run under one name differ in it.
    pub instance: u64,
    /// Of its snapshot.
    pub generation: u64,
    /// A hash of its health map: the same on all servers that heard the same reports.
    pub map: u64,
    /// A hash of its plan: the same on all servers that run the same zones.
    pub plan: u64,
    /// The version of `zones/` that it runs; `None`: files of its own.
    #[serde(default)]
    pub zones_version: Option<u64>,
    /// Why it does not run the newest version.
    #[serde(default)]
    pub zones_error: Option<String>,
    /// Its release.
    pub windrose: String,
    /// When it was sent, by the server's clock.
    pub sent: Moment,
}

impl Digest {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut digest = self.clone();
        if let Some(error) = &mut digest.zones_error {
            let end = (0..=ERROR_MAX.min(error.len())).rev().find(|end| error.is_char_boundary(*end));
            error.truncate(end.unwrap_or(0));
        }
        serde_json::to_vec(&digest).expect("plain data is always JSON")
    }

    pub(super) fn decode(message: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(message)
    }
}

/// A message with more bytes is not read.
pub(super) const DIGEST_MAX: usize = 64 << 10;
/// A longer error is cut: its first diagnostic says enough. In JSON each byte may become six.
const ERROR_MAX: usize = 4 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(zones_error: Option<String>) -> Digest {
        Digest {
            server: "ns1".into(),
            instance: u64::MAX,
            generation: 7,
            map: 1,
            plan: 2,
            zones_version: Some(3),
            zones_error,
            windrose: "0.1.0".to_owned(),
            sent: Moment(1_800_000_000_000),
        }
    }

    #[test]
    fn a_digest_comes_back_as_it_was() {
        let digest = digest(Some("zones/example.org.toml:3:1: …".to_owned()));
        assert_eq!(Digest::decode(&digest.encode()).expect("it is one"), digest);
    }

    #[test]
    fn a_long_error_is_cut_so_that_the_digest_is_read() {
        let cut = digest(Some("\u{1}é".repeat(100_000))).encode();
        assert!(cut.len() <= DIGEST_MAX);
        assert!(Digest::decode(&cut).is_ok());
    }

    #[test]
    fn a_digest_of_a_newer_release_is_read() {
        let newer = br#"{"server":"ns1","instance":1,"generation":2,"map":3,"plan":4,"windrose":"9","sent":5,"new":[]}"#;
        let read = Digest::decode(newer).expect("it has all that it needs");
        assert_eq!((read.zones_version, read.sent), (None, Moment(5)));
    }
}

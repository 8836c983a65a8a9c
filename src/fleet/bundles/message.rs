//! A bundle as a message of the store: what it is in its headers, so that a history reads no bodies, and the files in
//! its body.

use async_nats::HeaderMap;

use super::archive;
use super::{Bundle, Damaged, Files, Version};
use crate::fleet::subject::{escape, unescape};
use crate::model::Moment;

/// Who publishes, why, and what it is a copy of.
#[derive(Clone, Debug)]
pub(in crate::fleet) struct Label {
    pub(in crate::fleet) who: String,
    pub(in crate::fleet) why: String,
    pub(in crate::fleet) rolled_back_to: Option<u64>,
}

/// The headers and the body of what is published.
///
/// # Errors
/// What keeps the files from being a bundle, in words.
pub(super) fn write(files: Files, label: &Label, operation: &str) -> Result<(HeaderMap, Vec<u8>), String> {
    for (what, text, limit) in [("who", &label.who, WHO_MAX), ("why", &label.why, WHY_MAX)] {
        if text.len() > limit {
            return Err(format!("the text that says {what} has {} bytes, over {limit}", text.len()));
        }
    }
    let body = archive::pack(files)?;
    let mut headers = HeaderMap::new();
    headers.insert(OPERATION, operation);
    headers.insert(WHO, written(&label.who).as_str());
    headers.insert(WHY, written(&label.why).as_str());
    headers.insert(CHECKSUM, checksum(&body).as_str());
    if let Some(version) = label.rolled_back_to {
        headers.insert(ROLLED_BACK_TO, version.to_string().as_str());
    }
    Ok((headers, body))
}

/// The bundle that a message of the store is.
///
/// # Errors
/// [`Damaged`], when the body is not what was published.
pub(super) fn read(version: Version, headers: &HeaderMap, body: &[u8]) -> Result<Bundle, Damaged> {
    let damaged = |why: String| Damaged { version: version.version, why };
    match headers.get(CHECKSUM) {
        None => return Err(damaged("it has no checksum: it was not published by windrose".to_owned())),
        Some(stated) if stated.as_str() != checksum(body) => {
            return Err(damaged(format!("its checksum is {}, not {}", checksum(body), stated.as_str())));
        }
        Some(_) => {}
    }
    let files = archive::unpack(body).map_err(&damaged)?;
    let Version { version, who, why, when, rolled_back_to, bytes: _ } = version;
    Ok(Bundle { version, who, why, when, rolled_back_to, files })
}

/// What the headers say. What they lack is empty: a history shows what there is.
pub(super) fn version(version: u64, when: Moment, headers: &HeaderMap, bytes: u64) -> Version {
    let text = |name: &str| headers.get(name).and_then(|text| unescape(text.as_str())).unwrap_or_default();
    Version {
        version,
        who: text(WHO),
        why: text(WHY),
        when,
        rolled_back_to: headers.get(ROLLED_BACK_TO).and_then(|version| version.as_str().parse().ok()),
        bytes,
    }
}

/// The operation that stored a message.
pub(super) fn operation(headers: &HeaderMap) -> Option<&str> {
    headers.get(OPERATION).map(|operation| operation.as_str())
}

/// A text as a header carries it: printable ASCII on one line.
fn written(text: &str) -> String {
    escape(text.trim(), |c| c == '%' || !(' '..='~').contains(&c))
}

fn checksum(body: &[u8]) -> String {
    format!("crc32:{:08x}", crc32fast::hash(body))
}

/// NATS drops a second message with the same one within two minutes.
const OPERATION: &str = "Nats-Msg-Id";
const WHO: &str = "Windrose-Who";
const WHY: &str = "Windrose-Why";
const ROLLED_BACK_TO: &str = "Windrose-Rolled-Back-To";
const CHECKSUM: &str = "Windrose-Checksum";

/// Longer texts are refused: all headers together stay far below what one message may have.
const WHO_MAX: usize = 256;
const WHY_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn label(why: &str) -> Label {
        Label { who: "Zoë".to_owned(), why: why.to_owned(), rolled_back_to: Some(3) }
    }

    fn bundle(headers: &HeaderMap, body: &[u8]) -> Result<Bundle, Damaged> {
        read(version(7, Moment(1), headers, 0), headers, body)
    }

    #[test]
    fn a_bundle_comes_back_with_all_that_was_said_of_it() {
        let files = vec![("a.zone".to_owned(), b"@ SOA".to_vec())];
        let why = "two lines:\r\n100 % of \"eu\" → us";
        let (headers, body) = write(files.clone(), &label(why), "op-1").unwrap();
        assert_eq!(operation(&headers), Some("op-1"));
        let read = bundle(&headers, &body).unwrap();
        assert_eq!((read.version, read.when, read.rolled_back_to), (7, Moment(1), Some(3)));
        assert_eq!((read.who.as_str(), read.why.as_str(), read.files), ("Zoë", why, files));
    }

    #[test]
    fn a_body_that_changed_on_its_way_is_damaged() {
        let (mut headers, mut body) = write(vec![], &label("x"), "op-1").unwrap();
        body.push(0);
        assert!(bundle(&headers, &body).is_err_and(|damaged| damaged.version == 7));
        headers = HeaderMap::new();
        assert!(bundle(&headers, &body).is_err());
    }

    #[test]
    fn an_endless_reason_is_refused() {
        assert!(write(vec![], &label(&"x".repeat(WHY_MAX + 1)), "op-1").is_err());
    }
}

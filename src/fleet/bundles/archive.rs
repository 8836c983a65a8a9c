//! The files of a bundle as one text of bytes, and back: small, and nothing in it can reach outside a directory.
//!
//! ```text
//! "WZ"  version  deflated: for each file, in the order of their paths: path, content, each with its length
//! ```

use std::collections::HashSet;
use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;

use crate::fleet::bytes::{Reader, put_number, put_sized};

/// Files by their path relative to `zones/`, with `/` between its steps.
pub type Files = Vec<(String, Vec<u8>)>;

/// Packs files, in the order of their paths.
///
/// # Errors
/// What keeps them from being a bundle, in words.
pub(super) fn pack(mut files: Files) -> Result<Vec<u8>, String> {
    files.sort_unstable();
    check(&files)?;
    let head: usize = files.iter().map(|(path, _)| path.len() + LENGTHS_MAX).sum();
    let unpacked: usize = head + files.iter().map(|(_, content)| content.len()).sum::<usize>();
    if unpacked > UNPACKED_MAX {
        return Err(format!("the files have {unpacked} bytes together, over {UNPACKED_MAX}"));
    }
    let mut packed = Vec::from(MAGIC);
    packed.push(VERSION);
    let mut deflater = DeflateEncoder::new(packed, Compression::default());
    let mut head = Vec::new();
    for (path, content) in &files {
        head.clear();
        put_sized(&mut head, path.as_bytes());
        put_number(&mut head, content.len() as u64);
        let written = deflater.write_all(&head).and_then(|()| deflater.write_all(content));
        written.expect("a Vec takes all");
    }
    Ok(deflater.finish().expect("a Vec takes all"))
}

/// Unpacks what was packed. Takes no more memory than a bundle may have, whatever the archive says.
///
/// # Errors
/// Why it is no archive, in words.
pub(super) fn unpack(packed: &[u8]) -> Result<Files, String> {
    unpack_within(packed, UNPACKED_MAX)
}

fn unpack_within(packed: &[u8], limit: usize) -> Result<Files, String> {
    let mut reader = Reader(packed);
    match (reader.array(), reader.byte()) {
        (Some(MAGIC), Some(VERSION)) => {}
        (Some(MAGIC), Some(other)) => {
            return Err(format!("it is of version {other}, and this release reads version {VERSION}"));
        }
        _ => return Err("it does not start as a bundle".to_owned()),
    }
    let mut unpacked = Vec::new();
    DeflateDecoder::new(reader.0)
        .take(limit as u64 + 1)
        .read_to_end(&mut unpacked)
        .map_err(|error| format!("it cannot be inflated: {error}"))?;
    if unpacked.len() > limit {
        return Err(format!("it has over {limit} bytes when it is inflated"));
    }
    let mut reader = Reader(&unpacked);
    let mut files = Files::new();
    while !reader.is_empty() {
        let file = reader.sized().zip(reader.sized()).ok_or("it ends within a file")?;
        let path = std::str::from_utf8(file.0).map_err(|_| "a path is no text")?;
        files.push((path.to_owned(), file.1.to_vec()));
        if files.len() > FILES_MAX {
            break;
        }
    }
    check(&files)?;
    Ok(files)
}

/// Files in the order of their paths: few enough, each once, none where another has a directory, none outside.
fn check(files: &Files) -> Result<(), String> {
    if files.len() > FILES_MAX {
        return Err(format!("there are more than {FILES_MAX} files"));
    }
    if let Some((path, _)) = files.iter().find(|(path, _)| !is_plain(path)) {
        return Err(format!("`{}` is no plain relative path", path.escape_debug()));
    }
    let mut directories = HashSet::new();
    for (path, _) in files {
        directories.extend(path.match_indices('/').map(|(at, _)| &path[..at]));
    }
    for pair in files.windows(2) {
        if pair[0].0 >= pair[1].0 {
            return Err(format!("`{}` is there twice, or out of order", pair[1].0));
        }
    }
    match files.iter().find(|(path, _)| directories.contains(path.as_str())) {
        Some((path, _)) => Err(format!("`{path}` is a file and a directory")),
        None => Ok(()),
    }
}

/// Steps with `/` between them, none of which leads elsewhere, on any system.
fn is_plain(path: &str) -> bool {
    let strange = |c: char| c.is_control() || c == '\\' || c == ':';
    path.len() <= PATH_MAX
        && !path.contains(strange)
        && path.split('/').all(|step| !matches!(step, "" | "." | ".."))
}

/// More files are no bundle.
const FILES_MAX: usize = 100_000;
/// A longer path is no path.
const PATH_MAX: usize = 1024;
/// Files with more bytes together, paths included, are no bundle: a server keeps them in memory while it loads them.
const UNPACKED_MAX: usize = 256 << 20;
/// Two numbers before each file.
const LENGTHS_MAX: usize = 20;

const MAGIC: [u8; 2] = *b"WZ";
const VERSION: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;

    fn files(files: &[(&str, &str)]) -> Files {
        files.iter().map(|(path, content)| ((*path).to_owned(), content.as_bytes().to_vec())).collect()
    }

    fn packed(content: &[u8]) -> Vec<u8> {
        let mut head = Vec::from(MAGIC);
        head.push(VERSION);
        let mut deflater = DeflateEncoder::new(head, Compression::fast());
        deflater.write_all(content).unwrap();
        deflater.finish().unwrap()
    }

    proptest! {
        #[test]
        fn files_come_back_in_the_order_of_their_paths(
            files in btree_map("[a-z]{1,8}\\.(zone|toml)", vec(any::<u8>(), 0..200), 0..10)
        ) {
            let files: Files = files.into_iter().collect();
            let backwards = files.iter().cloned().rev().collect();
            prop_assert_eq!(unpack(&pack(backwards).unwrap()), Ok(files));
        }

        #[test]
        fn garbage_is_refused_and_never_panics(garbage in vec(any::<u8>(), 0..200), deflated: bool) {
            let _ = unpack(&if deflated { packed(&garbage) } else { garbage });
        }

        #[test]
        fn a_cut_archive_is_refused(cut: prop::sample::Index) {
            let archive = pack(files(&[("a.zone", "@ SOA"), ("sub/b.toml", "zone")])).unwrap();
            prop_assert!(unpack(&archive[..cut.index(archive.len())]).is_err());
        }
    }

    #[test]
    fn a_path_that_leads_outside_is_refused_on_both_ways() {
        for path in [
            "",
            "/etc/passwd",
            "../x",
            "a/../../x",
            "a/./b",
            "a//b",
            "a/",
            "c:\\x",
            "c:x",
            "a\\b",
            "a\0b",
            "a\nb",
        ] {
            assert!(pack(files(&[(path, "")])).is_err(), "{path:?}");
            let mut archive = Vec::new();
            put_sized(&mut archive, path.as_bytes());
            put_sized(&mut archive, b"");
            assert!(unpack(&packed(&archive)).is_err(), "{path:?}");
        }
        for path in ["a", "..a", "a..b", ".hidden", "sub/a.zone", "zürich.zone"] {
            assert!(pack(files(&[(path, "")])).is_ok(), "{path:?}");
        }
    }

    #[test]
    fn a_path_is_there_once_and_as_one_thing() {
        assert!(pack(files(&[("a", "1"), ("a", "2")])).is_err());
        assert!(pack(files(&[("a", "1"), ("a.b", "2"), ("a/b", "3")])).is_err());
        assert!(pack(files(&[("a.b", "1"), ("a/b", "2")])).is_ok());
    }

    #[test]
    fn what_inflates_without_end_is_stopped() {
        let bomb = packed(&vec![0; 1 << 20]);
        assert!(bomb.len() < 10_000);
        assert!(unpack_within(&bomb, 100_000).is_err_and(|why| why.contains("inflated")));
    }

    #[test]
    fn zones_become_small() {
        let zone = "www IN A 192.0.2.1\n".repeat(10_000);
        assert!(pack(files(&[("example.org.zone", &zone)])).unwrap().len() < zone.len() / 100);
    }
}

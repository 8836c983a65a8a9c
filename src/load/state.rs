//! A state file: what a restart starts from.
//!
//! ```text
//!   health.state   verdicts and controls, of a server
//!   beats.state    who has ever sent beats to this machine's probe
//!   journal/*.state what updates made of a zone, its last serial, and its latest changes
//!
//!   windrose-state 1 <crc32 of the rest, hex>\n
//!   { ... JSON ... }
//! ```
//!
//! Written to a temporary file beside it, synced, renamed over, and the directory synced: after a crash at
//! any moment there is the old one or the new one, whole. One that is damaged all the same is set aside
//! for people to look at, and never stops a start.

use std::fs::{self, File};
use std::io::{self, Write};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Where state of one kind is kept.
#[derive(Debug)]
pub struct StateFile<T> {
    directory: PathBuf,
    name: String,
    holds: PhantomData<fn(T) -> T>,
}

/// Why there is no state to start from, though there was a file.
#[derive(Debug)]
pub struct Unreadable {
    /// What is wrong.
    pub reason: String,
    /// Where it was put, if that worked.
    pub set_aside: Option<PathBuf>,
}

impl<T> Clone for StateFile<T> {
    fn clone(&self) -> Self {
        Self::new(&self.directory, &self.name)
    }
}

impl<T> StateFile<T> {
    /// `NAME.state` in this directory, which is made when it is first needed.
    pub fn new(directory: &Path, name: &str) -> Self {
        Self { directory: directory.to_owned(), name: name.to_owned(), holds: PhantomData }
    }

    /// The file itself.
    pub fn path(&self) -> PathBuf {
        self.beside("")
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        self.directory.join(format!("{}.state{suffix}", self.name))
    }
}

impl<T: Serialize + DeserializeOwned> StateFile<T> {
    /// What was saved, if anything was. A file that cannot be used is set aside.
    pub fn read(&self) -> Result<Option<T>, Unreadable> {
        let path = self.path();
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Unreadable { reason: error.to_string(), set_aside: None }),
        };
        decode(&bytes).map(Some).map_err(|reason| {
            let aside = self.beside(DAMAGED);
            let set_aside = fs::rename(&path, &aside).is_ok().then_some(aside);
            Unreadable { reason, set_aside }
        })
    }

    /// What was saved, if it can be used; it is left alone if not.
    pub fn peek(&self) -> Option<T> {
        decode(&fs::read(self.path()).ok()?).ok()
    }

    /// Saves, in place of what was there before. Blocks for as long as the disk does.
    ///
    /// # Errors
    /// Whatever the file system says; what was saved before is still there then.
    pub fn write(&self, state: &T) -> io::Result<()> {
        fs::create_dir_all(&self.directory)?;
        let temporary = self.beside(TEMPORARY);
        let mut file = File::create(&temporary)?;
        file.write_all(&encode(state)?)?;
        file.sync_all()?;
        fs::rename(&temporary, self.path())?;
        File::open(&self.directory)?.sync_all()
    }
}

fn encode<T: Serialize>(state: &T) -> io::Result<Vec<u8>> {
    let body = serde_json::to_vec(state)?;
    let mut bytes = format!("{MAGIC} {:08x}\n", crc32fast::hash(&body)).into_bytes();
    bytes.extend(body);
    Ok(bytes)
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let end = bytes.iter().position(|&byte| byte == b'\n').ok_or("it is cut off")?;
    let (head, body) = (&bytes[..end], &bytes[end + 1..]);
    let sum = std::str::from_utf8(head)
        .ok()
        .and_then(|head| head.strip_prefix(MAGIC))
        .and_then(|sum| u32::from_str_radix(sum.trim(), 16).ok())
        .ok_or("it is no state file of this version")?;
    if crc32fast::hash(body) != sum {
        return Err("its checksum is wrong".into());
    }
    serde_json::from_slice(body).map_err(|error| error.to_string())
}

const TEMPORARY: &str = ".new";
const DAMAGED: &str = ".damaged";
const MAGIC: &str = "windrose-state 1";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::{Agent, Control, Verdict};
    use crate::keeper::{SavedVerdict, State};
    use crate::model::Moment;

    fn some_state() -> State {
        State {
            generation: 7,
            saved: Moment(1_000),
            verdicts: vec![SavedVerdict {
                endpoint: "fra".into(),
                region: "eu".into(),
                v6: false,
                address: "192.0.2.10".parse().expect("an address"),
                verdict: Verdict::Down,
                since: Some(Moment(900)),
                agent: Some(Agent::Drain),
                rtt_us: Some(12_000),
            }],
            controls: vec![("iad".into(), Control::Drain)],
            ..State::default()
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = StateFile::new(&directory.path().join("made/when/needed"), "health");
        assert_eq!(file.read().expect("nothing yet"), None);
        file.write(&some_state()).expect("written");
        assert_eq!(file.read().expect("readable"), Some(some_state()));
    }

    #[test]
    fn any_damage_is_noticed_and_set_aside() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = StateFile::<State>::new(directory.path(), "health");
        let whole = encode(&some_state()).expect("encoded");
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x21;
            assert!(decode::<State>(&damaged).is_err(), "a flipped bit at {at}");
            assert!(decode::<State>(&whole[..at]).is_err(), "cut off at {at}");
        }
        fs::write(file.path(), &whole[..whole.len() - 1]).expect("a file");
        let unreadable = file.read().expect_err("damaged");
        assert!(unreadable.set_aside.expect("set aside").exists());
        assert_eq!(file.read().expect("the damaged one is gone"), None);
    }

    #[test]
    fn a_write_that_fails_leaves_the_old_state() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = StateFile::new(directory.path(), "health");
        file.write(&some_state()).expect("written");
        fs::create_dir(directory.path().join("health.state.new")).expect("in the way");
        assert!(file.write(&State::default()).is_err());
        assert_eq!(file.read().expect("readable"), Some(some_state()));
    }
}

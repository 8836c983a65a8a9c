//! The state file: what a restart starts from.
//!
//! ```text
//!   windrose-state 1 <crc32 of the rest, hex>\n
//!   { ... JSON ... }
//! ```
//!
//! Written to a temporary file beside it, synced, renamed over, and the directory synced: after a crash at
//! any moment there is the old one or the new one, whole. One that is damaged all the same is set aside
//! for people to look at, and never stops a start.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::keeper::State;

/// Where state is kept.
#[derive(Clone, Debug)]
pub struct StateFile {
    directory: PathBuf,
}

/// Why there is no state to start from, though there was a file.
#[derive(Debug)]
pub struct Unreadable {
    /// What is wrong.
    pub reason: String,
    /// Where it was put, if that worked.
    pub set_aside: Option<PathBuf>,
}

impl StateFile {
    /// In this directory, which is made when it is first needed.
    pub fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    /// What was saved, if anything was. A file that cannot be used is set aside.
    pub fn read(&self) -> Result<Option<State>, Unreadable> {
        let path = self.path();
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Unreadable { reason: error.to_string(), set_aside: None }),
        };
        decode(&bytes).map(Some).map_err(|reason| {
            let aside = self.directory.join(FILE_DAMAGED);
            let set_aside = fs::rename(&path, &aside).is_ok().then_some(aside);
            Unreadable { reason, set_aside }
        })
    }

    /// Saves, in place of what was there before. Blocks for as long as the disk does.
    ///
    /// # Errors
    /// Whatever the file system says; what was saved before is still there then.
    pub fn write(&self, state: &State) -> io::Result<()> {
        fs::create_dir_all(&self.directory)?;
        let temporary = self.directory.join(FILE_TEMPORARY);
        let mut file = File::create(&temporary)?;
        file.write_all(&encode(state)?)?;
        file.sync_all()?;
        fs::rename(&temporary, self.path())?;
        File::open(&self.directory)?.sync_all()
    }

    /// The file itself.
    pub fn path(&self) -> PathBuf {
        self.directory.join(FILE)
    }
}

fn encode(state: &State) -> io::Result<Vec<u8>> {
    let body = serde_json::to_vec(state)?;
    let mut bytes = format!("{MAGIC} {:08x}\n", crc32fast::hash(&body)).into_bytes();
    bytes.extend(body);
    Ok(bytes)
}

fn decode(bytes: &[u8]) -> Result<State, String> {
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

const FILE: &str = "health.state";
const FILE_TEMPORARY: &str = "health.state.new";
const FILE_DAMAGED: &str = "health.state.damaged";
const MAGIC: &str = "windrose-state 1";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::{Agent, Control, Verdict};
    use crate::keeper::SavedVerdict;
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
        let file = StateFile::new(&directory.path().join("made/when/needed"));
        assert_eq!(file.read().expect("nothing yet"), None);
        file.write(&some_state()).expect("written");
        assert_eq!(file.read().expect("readable"), Some(some_state()));
    }

    #[test]
    fn any_damage_is_noticed_and_set_aside() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = StateFile::new(directory.path());
        let whole = encode(&some_state()).expect("encoded");
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x21;
            assert!(decode(&damaged).is_err(), "a flipped bit at {at}");
            assert!(decode(&whole[..at]).is_err(), "cut off at {at}");
        }
        fs::write(file.path(), &whole[..whole.len() - 1]).expect("a file");
        let unreadable = file.read().expect_err("damaged");
        assert!(unreadable.set_aside.expect("set aside").exists());
        assert_eq!(file.read().expect("the damaged one is gone"), None);
    }

    #[test]
    fn a_write_that_fails_leaves_the_old_state() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = StateFile::new(directory.path());
        file.write(&some_state()).expect("written");
        fs::create_dir(directory.path().join(FILE_TEMPORARY)).expect("in the way");
        assert!(file.write(&State::default()).is_err());
        assert_eq!(file.read().expect("readable"), Some(some_state()));
    }
}
